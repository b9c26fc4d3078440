"""A whole transfer system in memory: sequencer, every shard and a read side, with the log time given by the caller.

For golden cases, property tests and trying things out; it runs the same cores as the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from transforms.core import Batch, Output
from transforms.trace import Trace
from transforms.transfers import notifications as notify
from transforms.transfers.accounts import Account
from transforms.transfers.messages import NOTHING
from transforms.transfers.routing import partition_of
from transforms.transfers.sequencer import SequencerCore
from transforms.transfers.shard import TransferShard
from transforms.transfers.timestamps import iso
from transforms.transfers.topics import Topics

MAX_ROUNDS = 100_000
"""More batches than this for one step means that records cause each other without end."""


class LocalHub:
    """`partitions` shards and what they emit. `batch` is the most records of one batch; 0 means all there are.

    With `restart` every shard is dumped and loaded into a fresh core after each step, as a restore does.
    """

    def __init__(
        self, partitions: int = 4, prefix: str = "", batch: int = 0, restart: bool = False, fast: bool = True
    ) -> None:
        self.topics = Topics(prefix)
        self.partitions = partitions
        self.batch = batch
        self.restart = restart
        self.fast = fast
        self.shards = [TransferShard(number, partitions, self.topics, fast) for number in range(partitions)]
        self._cells: list[dict[int, tuple[int, bytes]]] = [{} for _ in range(partitions)]
        self._log: list[list[tuple[int, bytes | None, bytes, Trace | None]]] = [[] for _ in range(partitions)]
        self._applied = [0] * partitions
        self._caused: list[list[Output]] = [[] for _ in range(partitions)]
        self._sequenced = {self.topics.prepare: 0, self.topics.fulfil: 0}
        self.outputs: list[Output] = []
        """Everything emitted, in order."""
        self.read_side = ReadSide()

    def send(self, topic: str, value: bytes, at: int, trace: Trace | None = None) -> None:
        """A DFSP's message on one of Mojaloop's unkeyed topics, through the sequencer, and all it causes."""
        sequencer = SequencerCore(topic, 0, self.partitions, self.topics, self.fast)
        offset = self._sequenced[topic]
        self._sequenced[topic] += 1
        for output in sequencer.apply(Batch([offset], [at], [None], [value], [trace])):
            self._take(output, at)
        self.run(at)

    def append(self, partition: int, value: bytes, at: int, key: bytes | None = None) -> None:
        """A record straight onto the log of one shard; nothing is applied before `run`."""
        self._log[partition].append((at, key, value, None))

    def admin(self, command: dict[str, Any], at: int, command_id: str = "") -> None:
        """A command appended to every shard, and all it causes."""
        value = json.dumps({"admin": command, "id": command_id}).encode()
        for partition in range(self.partitions):
            self.append(partition, value, at)
        self.run(at)

    def tick(self, at: int) -> None:
        """Let log time pass on every shard."""
        for partition, shard in enumerate(self.shards):
            self.append(partition, shard.tick(), at)
        self.run(at)

    def get(self, id: str, sender: str, at: int) -> None:
        """A GET, answered by the read side."""
        self._take(
            (
                self.topics.notifications,
                partition_of(sender, self.partitions),
                id.encode(),
                self.read_side.answer(id, sender, at),
            ),
            at,
        )

    def run(self, at: int) -> None:
        """Apply everything on the logs, in rounds over the shards, until nothing is left."""
        for _ in range(MAX_ROUNDS):
            waiting = [number for number in range(self.partitions) if self._applied[number] < len(self._log[number])]
            if not waiting:
                if self.restart:
                    self.restore()
                return
            for number in waiting:
                self._apply(number, at)
        raise RuntimeError("records cause each other without end")

    def _apply(self, number: int, at: int) -> None:
        start = self._applied[number]
        stop = len(self._log[number]) if self.batch == 0 else min(len(self._log[number]), start + self.batch)
        records = self._log[number][start:stop]
        self._applied[number] = stop
        times, keys, values, traces = (list(column) for column in zip(*records, strict=True))
        caused = self.shards[number].apply(Batch(list(range(start, stop)), times, keys, values, traces))
        self._caused[number] += caused
        for output in caused:
            self._take(output, at)

    def _take(self, output: Output, at: int) -> None:
        self.outputs.append(output)
        topic, partition, key, value = output[:4]
        if topic == self.topics.log:
            self._log[partition].append((at, key, value, output[4] if len(output) == 5 else None))
        elif topic == self.topics.events:
            self.read_side.apply(value)

    def restore(self) -> None:
        """Dump every shard and go on with fresh cores loaded from the cells."""
        for number, shard in enumerate(self.shards):
            self._cells[number].update({cell: (self._applied[number], payload) for cell, payload in shard.dump()})
            fresh = TransferShard(number, self.partitions, self.topics, self.fast)
            fresh.load(self._cells[number])
            self.shards[number] = fresh

    def account(self, name: str) -> Account | None:
        """The account "dfsp/CUR" in the shard it lives in."""
        dfsp, _, currency = name.partition("/")
        participant = self.shards[partition_of(dfsp, self.partitions)].participants.get(dfsp)
        return participant.accounts.get(currency) if participant is not None else None

    def log_of(self, partition: int) -> list[tuple[int, bytes | None, bytes]]:
        """The shard's log: log time, key and value of every record."""
        return [(at, key, value) for at, key, value, _ in self._log[partition]]

    def outputs_of(self, partition: int) -> list[Output]:
        """What the shard emitted, in order."""
        return list(self._caused[partition])

    def of(self, topic: str) -> Iterable[bytes]:
        """The values emitted to a topic."""
        return (output[3] for output in self.outputs if output[0] == topic)


class ReadSide:
    """What a GET needs: of each transfer its parties and its state, from transfer-events."""

    def __init__(self) -> None:
        self.transfers: dict[str, dict[str, Any]] = {}

    def apply(self, value: bytes) -> None:
        """Take in one event. A finished transfer stays as it is, whatever comes under its id later."""
        event = json.loads(value)
        id = event.get("transferId")
        if event["kind"] not in ("reserve", "invalid", "commit", "release") or not id:
            return
        known = self.transfers.get(id)
        if known is None or known["state"] == "RESERVED":
            self.transfers[id] = {**(known or {}), **event}

    def state(self, id: str) -> str | None:
        """The transfer's state, None if it is unknown."""
        found = self.transfers.get(id)
        return str(found["state"]) if found is not None else None

    def answer(self, id: str, sender: str, at: int) -> bytes:
        """The notification that answers a GET."""
        found = self.transfers.get(id)
        name, when = notify.escape(sender), iso(at)
        if found is None:
            return notify.failure(notify.escape(id), name, "3208", "unknown transfer", "get", when, NOTHING)
        if sender not in (found["payer"], found["payee"]):
            return notify.failure(id, name, "3000", "not a party of this transfer", "get", when, NOTHING)
        payload = {"transferState": found["state"]}
        if found["state"] == "COMMITTED":
            payload = {key: found[key] for key in ("fulfilment", "completedTimestamp") if key in found} | payload
        body = json.dumps(payload, separators=(",", ":")).encode()
        return notify.success(id, notify.HUB, name, notify.hub_headers(name), body, "get", when, "PUT", Raw())
