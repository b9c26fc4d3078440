"""Control records: pause every shard of a job at one point of its log, so that an upgrade can take its savepoint."""

from __future__ import annotations

import json
import logging
import time
import uuid

from confluent_kafka import KafkaException, Producer
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random

from florin_io.kafka.client import client_config, is_fenced, make
from florin_io.kafka.log import GroupOffsets

_TIMEOUT_S = 30.0
# Being overtaken is no fault that the client should print.
_SILENT = logging.Logger("florin-control", logging.CRITICAL + 1)


class NotPaused(RuntimeError):
    """Not every shard stopped at the control record in time; the message names those that did not."""


def _overtaken(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and is_fenced(error.args[0])


@retry(retry=retry_if_exception(_overtaken), stop=stop_after_attempt(10), wait=wait_random(0, 0.5), reraise=True)
def append_everywhere(bootstrap: str, topic: str, partitions: int, value: bytes, *, key: bytes | None = None) -> None:
    """Append one record to every partition of a log, all or none. Raises KafkaException.

    Records of several callers stand in the same order on every partition: all write under one transactional id, so
    that who comes later ends what is still under way, and that one tries again.
    """
    config = client_config(bootstrap, **{"transactional.id": f"florin-control.{topic}"})
    producer = make(Producer, config, logger=_SILENT)
    producer.init_transactions(_TIMEOUT_S)
    producer.begin_transaction()
    for partition in range(partitions):
        producer.produce(topic, value, key, partition)
    producer.commit_transaction(_TIMEOUT_S)


def pause_and_wait(bootstrap: str, topic: str, partitions: int, group: str, timeout_s: float = 60.0) -> None:
    """Append a pause record to every partition and wait until every shard has committed its stop there.

    Raises NotPaused.
    """
    append_everywhere(
        bootstrap, topic, partitions, json.dumps({"pause": str(uuid.uuid4())}, separators=(",", ":")).encode()
    )
    until = time.monotonic() + timeout_s
    while late := not_paused(bootstrap, topic, partitions, group):
        if time.monotonic() > until:
            raise NotPaused(
                f"{topic}: partitions {', '.join(map(str, late))} did not reach the pause record in "
                f"{timeout_s:.0f} s; is the job "
                "running, and is its lag small? The shards that did stop go on by themselves after five minutes"
            )
        time.sleep(0.2)


def not_paused(bootstrap: str, topic: str, partitions: int, group: str) -> list[int]:
    """Partitions whose shard does not stand still at a pause record."""
    with GroupOffsets(bootstrap, topic, partitions, group) as look:
        return [number for number, done in enumerate(look.committed()) if not done.note.endswith(" paused")]
