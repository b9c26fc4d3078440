"""Settings common to all our Kafka clients, and one way to make one and to say why Kafka cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from florin_io.kafka.settings import KafkaSettingsError, KafkaUnreachable, place, user_settings
from florin_io.tls import why_not_verified

_LOOK_S = 1.0
_CAFILE, _CHECK = "ssl.ca.location", "ssl.endpoint.identification.algorithm"
C = TypeVar("C")


def client_config(bootstrap: str, **settings: Any) -> dict[str, Any]:
    """librdkafka settings for `bootstrap`, the user's properties file, then `settings`. Raises KafkaSettingsError."""
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 3,
    }
    return config | user_settings() | settings


def make(kind: Callable[..., C], config: dict[str, Any], **more: Any) -> C:
    """A client of librdkafka. Raises KafkaSettingsError for settings that it refuses."""
    try:
        return kind(config, **more)
    except KafkaException as error:
        raise KafkaSettingsError(
            f"Kafka's client refuses its settings: {error.args[0].str()}. Remedy: correct {place()}"
        ) from error


class Heard:
    """What a client says of its connections, as its `error_cb`: the last reason, those of TLS and SASL first."""

    def __init__(self) -> None:
        self.reason = ""
        self.refused = False

    def __call__(self, error: KafkaError) -> None:
        refused = error.code() in (KafkaError._SSL, KafkaError._AUTHENTICATION) or " alert " in error.str()
        if refused or (not self.refused and error.code() != KafkaError._ALL_BROKERS_DOWN):
            self.reason, self.refused = error.str(), refused


def admin(bootstrap: str, timeout_s: float = 10) -> AdminClient:
    """An admin client that has reached the cluster. Raises KafkaUnreachable."""
    heard = Heard()
    config = client_config(bootstrap, log_level=0, error_cb=heard)
    client = make(AdminClient, config)
    until = time.monotonic() + timeout_s
    while True:
        try:
            client.list_topics(timeout=min(_LOOK_S, timeout_s))
            return client
        except KafkaException as error:
            client.poll(0)
            if heard.refused or time.monotonic() > until:
                raise unreachable(config, heard, error.args[0].str()) from error


def unreachable(config: dict[str, Any], heard: Heard, said: str) -> KafkaUnreachable:
    """The error of a client that `said` it cannot reach Kafka, with the reason it was `heard` to give and a remedy."""
    bootstrap, reason = config["bootstrap.servers"], heard.reason or said
    return KafkaUnreachable(f"no Kafka answers at {bootstrap} ({reason}). Remedy: {_remedy(config, reason)}")


def _remedy(config: dict[str, Any], reason: str) -> str:
    protocol = str(config.get("security.protocol", "plaintext")).lower()
    if "certificate verify failed" in reason:
        host, port = config["bootstrap.servers"].split(",")[0].rsplit(":", 1)
        checks = config.get(_CHECK, "https") != "none"
        why = why_not_verified(host.strip("[]"), int(port), config.get(_CAFILE), check_host=checks)
        return f"{why or 'its certificate is not of this authority'}; look at {_CAFILE} in {place()}"
    if " alert " in reason or "ertificate required" in reason:
        return (
            "the brokers did not take our certificate: it is missing, expired, or not signed by an authority of "
            f"theirs; look at ssl.certificate.location and ssl.key.location in {place()}"
        )
    if "invalid credentials" in reason:
        return f"sasl.username or sasl.password in {place()} is not what the brokers know"
    if "SASL" in reason:
        return f"look at sasl.mechanism in {place()}"
    if "PLAINTEXT broker" in reason:
        return f"this listener does without TLS: another port, or another security.protocol in {place()}"
    local = "start the local stack with `python -m flink up`, or name your Kafka with --kafka or FLORIN_KAFKA"
    if protocol == "plaintext" and "Connect" not in reason:
        return f"{local}; if it wants TLS or a password, set security.protocol in {place()}"
    return local


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
