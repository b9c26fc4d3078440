"""Answers topic-transfer-get from Postgres: answers and input offset in one Kafka transaction, so each exactly once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from confluent_kafka import Message

from florin_io.kafka.log import LogReader, headers_of, now_ms
from florin_io.kafka.writer import Record, TransactionalWriter
from florin_io.postgres import Connection, Database
from transforms.dead_letters import dead_letter
from transforms.measures import count_commit, count_latency
from transforms.read_model.answers import Known, NotAQuestion, Question, answer, question
from transforms.read_model.patient import PatientLoop, offset_of
from transforms.trace import trace_of
from transforms.transfers.routing import partition_of
from transforms.transfers.topics import Topics

_LOG = logging.getLogger(__name__)

BATCH_QUESTIONS = 500
LAG_ALLOWED_MS = 2_000
"""An unknown id is looked up again until the question is this old: the tables may be behind the transfer job."""
REMEDY = "send the request again as a Mojaloop GET envelope"
LOOK_AGAIN_S = 0.05
FIRST_IDLE_S = 0.01
IDLE_S = 0.1

_LOOK_UP = """
SELECT transfer_id, payer, payee, state, completed, fulfilment, (extract(epoch FROM updated_at) * 1000)::bigint
FROM transfer WHERE transfer_id = ANY(%s) ORDER BY transfer_id, partition"""


@dataclass(frozen=True)
class Desk:
    """Where questions come from and answers go; `partitions` is that of the notifications and dead letters."""

    bootstrap: str
    topics: Topics
    group: str
    partitions: int


class Answerer(PatientLoop):
    """The loop of one partition of topic-transfer-get."""

    def __init__(self, desk: Desk, database: Database, partition: int) -> None:
        super().__init__(f"{desk.topics.get}/{partition}")
        self._desk, self._database, self._partition = desk, database, partition
        self._open: tuple[Connection, LogReader, TransactionalWriter] | None = None
        self._waiting: list[Message] = []

    def step(self) -> float:
        """Answer what has arrived, up to the first question that the tables may yet come to know."""
        connection, reader, writer = self._open or self._start()
        waiting = self._waiting
        if len(waiting) < BATCH_QUESTIONS:
            waiting += reader.poll(BATCH_QUESTIONS - len(waiting))
            self.look(reader)
        if not waiting:
            return self.idle(FIRST_IDLE_S, IDLE_S)
        self.busy()
        outputs = self._outputs(connection)
        if outputs:
            started = time.monotonic()
            writer.write(outputs, reader, offset_of(waiting[len(outputs) - 1]) + 1, "")
            count_commit(self.counts, time.monotonic() - started)
            answered = [message.timestamp()[1] for message in waiting[: len(outputs)]]
            count_latency(self.counts, sorted(answered), now_ms())
            del waiting[: len(outputs)]
            self.counts["answers"] += len(outputs)
        return LOOK_AGAIN_S if waiting else 0.0

    def close(self) -> None:
        """Give the connections back; what was not answered is read again."""
        self._waiting = []
        if self._open is not None:
            connection, reader, writer = self._open
            self._open = None
            connection.close()
            writer.close()
            reader.close()

    def _start(self) -> tuple[Connection, LogReader, TransactionalWriter]:
        desk = self._desk
        connection = self._database.connect(application=f"florin get {self._partition}")
        try:
            writer = TransactionalWriter(desk.bootstrap, f"{desk.group}.{desk.topics.get}.{self._partition}")
            reader = LogReader(desk.bootstrap, desk.topics.get, self._partition, desk.group)
            committed, _ = reader.committed()
            first = max(committed or 0, reader.bounds()[0])
            reader.seek(first)
        except BaseException:
            connection.close()
            raise
        _LOG.info("%s: answers from offset %d on", self.name, first)
        self._open = (connection, reader, writer)
        return self._open

    def _outputs(self, connection: Connection) -> list[Record]:
        """One record per waiting message, in order, up to the first that must wait."""
        asked = [_asked(message) for message in self._waiting]
        known = _look_up(connection, [one.transfer_id for one in asked if isinstance(one, Question)])
        young = now_ms() - LAG_ALLOWED_MS
        desk, outputs = self._desk, list[Record]()
        for message, one in zip(self._waiting, asked, strict=True):
            at_ms = message.timestamp()[1]
            if isinstance(one, NotAQuestion):
                value = message.value() or b""
                letter = dead_letter(
                    desk.topics.get, self._partition, offset_of(message), str(one), REMEDY, at_ms, value
                )
                outputs.append((desk.topics.dead_letters, self._partition % desk.partitions, message.key(), letter))
                self.counts["dead_letters"] += 1
                continue
            found = known.get(one.transfer_id, [])
            if not found and at_ms > young:
                break
            place = partition_of(one.asker, desk.partitions)
            told = answer(one, found, at_ms)
            trace = trace_of(headers_of(message) or [])
            key = one.transfer_id.encode()
            outputs.append(
                (desk.topics.notifications, place, key, told)
                if trace is None
                else (desk.topics.notifications, place, key, told, trace)
            )
        return outputs


def _asked(message: Message) -> Question | NotAQuestion:
    try:
        return question(message.value() or b"")
    except NotAQuestion as error:
        return error


def _look_up(connection: Connection, transfer_ids: list[str]) -> dict[str, list[Known]]:
    found: dict[str, list[Known]] = {}
    # Ids with NUL cannot be in the tables, and cannot be sent to the server either.
    asked = [transfer_id for transfer_id in transfer_ids if "\0" not in transfer_id]
    if asked:
        for transfer_id, *columns in connection.execute(_LOOK_UP, (asked,)):
            found.setdefault(transfer_id, []).append(Known(*columns))
    return found
