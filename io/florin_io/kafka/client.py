"""Settings common to all our Kafka clients, and one way to say that Kafka is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

CONFIG_FILE = "FLORIN_KAFKA_CONFIG"
"""Environment variable with the path of a properties file of librdkafka settings (TLS, SASL, secrets)."""


class KafkaUnreachable(ConnectionError):
    """No broker answers at the address."""


def client_config(bootstrap: str, **settings: Any) -> dict[str, Any]:
    """librdkafka settings for `bootstrap`, the user's properties file, then `settings`.

    Raises ValueError for a line of the file that is not `name=value`.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 3,
    }
    path = os.environ.get(CONFIG_FILE)
    if path:
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            name, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"{path}:{number}: expected name=value, found {name!r}")
            config[name.strip()] = value.strip()
    config.update(settings)
    return config


def admin(bootstrap: str, timeout_s: float = 10) -> AdminClient:
    """An admin client that has reached the cluster. Raises KafkaUnreachable."""
    client = AdminClient(client_config(bootstrap, log_level=0))
    try:
        client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise KafkaUnreachable(
            f"no Kafka answers at {bootstrap} ({error.args[0].str()}); start the local stack with "
            "`python -m flink up`, or name yours with --kafka or FLORIN_KAFKA"
        ) from error
    return client


def is_fenced(error: KafkaError) -> bool:
    """Whether another producer with the same transactional id took over (this one is a zombie)."""
    return error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)


_PASSING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
    }
)


def is_passing(error: KafkaError) -> bool:
    """Whether the error passes by itself: a leader or coordinator is being elected, or an answer was late."""
    return error.code() in _PASSING
