"""Drives the transfer job through Kafka as payer and payee of every transfer, and checks each outcome.

One thread does it all: send what is due, take what has come, answer. It shares its machine with the system it measures,
so bytes come from templates and of each notification only the members that are checked are parsed.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from florin_io import endpoints
from jobs.hub.topics import partitions_of
from jobs.load.config import Config, hints
from jobs.load.meter import Meter, Progress
from jobs.load.report import Report
from jobs.load.wire import Sender, listener
from transforms.load.checker import Checker, Flow
from transforms.load.messages import Pair
from transforms.load.notes import NoteError, decode_note
from transforms.load.pacing import Pacer
from transforms.load.plan import Plan, make_pool
from transforms.load.scenarios import NOBODY, PAID, PAYEE, PAYER, POSTED, ROLES, Scenario, Token
from transforms.transfers.routing import partition_of
from transforms.transfers.timestamps import Clock
from transforms.transfers.topics import Topics

_POLL_S = 0.004
_SLICE = 500
_TAKE = 2_000
_INTERRUPT_DRAIN_S = 5.0


def run(
    config: Config, progress: Callable[[Progress], None] | None = None, stop: threading.Event | None = None,
    enough: threading.Event | None = None,
) -> Report:  # fmt: skip
    """Send the traffic, check everything that comes back, and report.

    `progress` is called once a second; setting `stop` ends the sending early and waits a few seconds for what is in
    flight; setting `enough` ends only the sending. Raises KafkaUnreachable, TopicsMissing, KafkaException, or
    ValueError for a configuration that cannot be.
    """
    player = _Player(config)
    collecting = gc.isenabled()
    # What is made here holds no cycles, and a collection would walk all transfers in flight.
    gc.disable()
    try:
        return player.play(progress, stop or threading.Event(), enough or threading.Event())
    finally:
        if collecting:
            gc.enable()
        player.close()


class _Player:
    """Payer and payee of all transfers of one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        topics = Topics(config.topic_prefix)
        bootstrap = endpoints.resolve(kafka=config.kafka).kafka
        self.direct = config.via == "log"
        self.prepares, self.answers = (topics.log, topics.log) if self.direct else (topics.prepare, topics.fulfil)
        counts = partitions_of(bootstrap, topics.prefix, [self.prepares, self.answers, topics.notifications])
        self.partitions = counts[self.prepares]
        self.seed = random.SystemRandom().getrandbits(48) if config.seed is None else config.seed
        self.plan = Plan(self.seed, config.traffic())
        self._looked_up = Plan(self.seed, config.traffic())
        self.pool = make_pool(self.seed)
        self.sent = 0
        self.checker = Checker(self._finished_scenario, loose=not self.direct)
        self.meter = Meter(config.warmup_s)
        # A clock remembers one second: one each for now and the two expirations.
        self.clock, self._late, self._soon = Clock(), Clock(), Clock()
        self._at = b""
        self._pairs: dict[tuple[str, str], Pair] = {}
        self.listener = listener(bootstrap, topics.notifications, counts[topics.notifications])
        self.sender = Sender(bootstrap, self.checker.fault)

    def close(self) -> None:
        self.listener.close()

    def play(
        self, progress: Callable[[Progress], None] | None, stop: threading.Event, enough: threading.Event
    ) -> Report:
        cpu = time.process_time()
        self._send_all(progress, stop, enough)
        self._drain(progress, stop)
        interrupted = stop.is_set()
        self.sender.flush(5)
        cpu = time.process_time() - cpu
        left = self.checker.close(missing_is_wrong=not interrupted)
        return self._report(left, cpu, interrupted)

    def _send_all(
        self, progress: Callable[[Progress], None] | None, stop: threading.Event, enough: threading.Event
    ) -> None:
        """Send until the duration or count is reached, or `stop` or `enough` is set."""
        config = self.config
        limit = config.limit()
        flows = self.checker.flows
        self.meter.start()
        started = time.monotonic()
        pacer = Pacer(config.rate, started)
        end = started + config.duration_s if config.duration_s is not None else float("inf")
        while (now := time.monotonic()) < end and (config.count is None or self.sent < config.count):
            if stop.is_set() or enough.is_set():
                break
            room = limit - len(flows)
            if config.count is not None:
                room = min(room, config.count - self.sent)
            due = pacer.due(now, min(max(room, 0), _SLICE))
            if due:
                self._prepare(due)
            elif config.rate and room <= 0:
                self.meter.held_back(now)
            self._take()
            self.meter.roll(progress, self.sent, self.checker)
        self.meter.skipped = pacer.skipped

    def _drain(self, progress: Callable[[Progress], None] | None, stop: threading.Event) -> None:
        """Wait for what is in flight, until nothing has come for the grace period past the last expiry."""
        self.meter.sending_ended()
        stopped_sending = time.monotonic()
        quiet_from = stopped_sending + self.config.timeout_s
        while self.checker.flows:
            now = time.monotonic()
            if self._take():
                quiet_from = max(quiet_from, now)
            if now - quiet_from > self.config.grace_s or (stop.is_set() and now - stopped_sending > _INTERRUPT_DRAIN_S):
                return
            self.meter.roll(progress, self.sent, self.checker)
        # A notification too many would come with or right behind the last one.
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            self._take()

    def _prepare(self, count: int) -> None:
        """Send the prepares of the next `count` transfers."""
        config, plan, pool, send, direct = self.config, self.plan, self.pool, self.sender.send, self.direct
        now_ms = time.time_ns() // 1_000_000
        at = self.clock.iso(now_ms).encode()
        late = self._late.iso(now_ms + int(config.expiration_s * 1000)).encode()
        soon = self._soon.iso(now_ms + int(config.timeout_s * 1000)).encode()
        names, scenarios, start = config.dfsps, plan.scenarios, self.checker.start
        for number in range(self.sent, self.sent + count):
            scenario_number, payer_number, payee_number, entry_number = plan.row(number)
            scenario = scenarios[scenario_number]
            pair = self._pair(scenario.payer or names[payer_number], names[payee_number])
            id, entry = plan.transfer_id(number), pool[entry_number]
            expiration = soon if scenario.expires else late
            start(id, Flow(number, scenario, pair, entry, now_ms, expiration))
            key, place = (pair.key, pair.partition) if direct else (None, number % self.partitions)
            prepare = pair.prepare(id.encode(), entry, entry.amount, at, expiration)
            send(self.prepares, prepare, key, place)
            for copy in scenario.copies:
                if copy == "changed":
                    prepare = pair.prepare(id.encode(), entry, entry.changed, at, expiration)
                send(self.prepares, prepare, key, place)
        self.sent += count

    def _pair(self, payer: str, payee: str) -> Pair:
        pair = self._pairs.get((payer, payee))
        if pair is None:
            place = partition_of(payer, self.partitions)
            pair = self._pairs[payer, payee] = Pair(payer, payee, self.config.currency, place)
        return pair

    def _send(self, topic: str, flow: Flow, value: bytes) -> None:
        """One more message of a transfer on its way."""
        pair = flow.pair
        if self.direct:
            self.sender.send(topic, value, pair.key, pair.partition)
        else:
            self.sender.send(topic, value, None, flow.number % self.partitions)

    def _take(self) -> int:
        """Check and answer what has come; returns how many notifications that was."""
        values = [message.value() or b"" for message in self.listener.poll(_TAKE, _POLL_S)]
        self.sender.poll(0)
        if values:
            now_ms = time.time_ns() // 1_000_000
            self._at = self.clock.iso(now_ms).encode()
            self.meter.arrived(time.monotonic())
            for value in values:
                self._note(value, now_ms)
        return len(values)

    def _note(self, value: bytes, now_ms: int) -> None:
        """One notification: hold it against what is expected, measure, answer."""
        try:
            note = decode_note(value)
        except NoteError as error:
            self.checker.fault(f"notification that cannot be read ({error}): {value[:200]!r}")
            return
        checker, id, payload = self.checker, note.id, note.content.payload
        method = note.metadata.http.method
        failure = payload.errorInformation
        code = failure.errorCode if failure is not None else payload.transferState
        flow = checker.flows.get(id)
        if flow is None:
            checker.stray(id, note.to, method, code)
            return
        if flow.appended_ms == 0:
            flow.appended_ms = self.clock.parse_ms(note.metadata.event.createdAt) or now_ms
        pair, entry = flow.pair, flow.entry
        token = (PAYEE if note.to == pair.payee else PAYER if note.to == pair.payer else NOBODY, method, code)
        if method == "POST":
            amount = payload.amount
            if amount is None or amount.amount != entry.amount_text or payload.condition != entry.condition_text:
                checker.wrong_content(id, flow, "the POST holds another amount or condition than the payer sent")
        elif method == "PUT" and payload.fulfilment != entry.fulfilment_text:
            checker.wrong_content(id, flow, "the PUT holds another fulfilment than the payee sent")
        first = not flow.seen & flow.scenario.bits.get(token, (0,))[0]
        if not checker.observe(id, flow, token):
            return
        if token == POSTED:
            self.meter.posted(now_ms - flow.appended_ms)
            for kind in flow.scenario.answers:
                self._send(self.answers, flow, pair.answer(kind, id.encode(), entry, self._at))
        elif token == PAID:
            if first:
                self.meter.committed(now_ms - flow.appended_ms)
            if first and flow.scenario.again:
                self._repeat(id, flow)

    def _repeat(self, id: str, flow: Flow) -> None:
        """Send the prepare once more, as it was."""
        at = self.clock.iso(flow.sent_ms).encode()
        prepare = flow.pair.prepare(id.encode(), flow.entry, flow.entry.amount, at, flow.expiration)
        self._send(self.prepares, flow, prepare)

    def _finished_scenario(self, id: str) -> Scenario | None:
        """The scenario of a transfer this run has sent, None of any other."""
        number = self.plan.number_of(id)
        if number is None or number >= self.sent:
            return None
        return self._looked_up.scenarios[self._looked_up.row(number)[0]]

    def _report(self, left: int, cpu_s: float, interrupted: bool) -> Report:
        checker, meter = self.checker, self.meter
        meter.finish(self.sent, checker.completed)
        return Report(
            seed=self.seed,
            via=self.config.via,
            rate=self.config.rate,
            seconds=round(meter.sending_s, 3),
            sent=self.sent,
            completed=checker.completed,
            per_s=round(meter.per_s(), 1),
            outcomes={name: asdict(tally) for name, tally in sorted(checker.tallies.items())},
            notifications=_by_kind(checker.notifications),
            reserved=meter.reserved.summary(),
            committed=meter.committed_latency.summary(),
            mismatches=checker.mismatches,
            missing=0 if interrupted else left,
            left_in_flight=left,
            foreign=checker.foreign,
            skipped=meter.skipped,
            held_back_s=round(meter.held_back_s, 1),
            longest_silence_s=round(meter.longest_silence_s, 3),
            cpu_us_per_transfer=round(cpu_s * 1e6 / max(1, checker.completed), 1),
            interrupted=interrupted,
            examples=checker.examples,
            hints=hints(self.config, checker),
            timeline=meter.timeline,
        )


def _by_kind(found: Mapping[Token, int]) -> dict[str, int]:
    """Notifications by receiver, method and code, as "payer PUT error 3303"."""
    return {f"{ROLES[role]} {method} {code}".rstrip(): count for (role, method, code), count in sorted(found.items())}
