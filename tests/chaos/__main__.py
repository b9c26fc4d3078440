"""Faults under load: `python -m tests.chaos`; each streaming job must lose nothing, double nothing and go on by itself.

Starts a stack of its own (Kafka, Flink, PostgreSQL, object store). Under load it kills -9, pauses and restarts one
process after the other, cuts one worker off from Kafka, fills the disk of the checkpoints, then strikes in random
pairs. After each: every outcome as the load generator expects it, as many records as a read_committed reader counts,
sums and reservations of zero, and a replay of the whole log equal byte for byte. Exit codes: 0 all held, 1 something
did not, 2 wrong options, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import click
from rich import box
from rich.console import Console
from rich.table import Table

from bench.report import machine
from flink import jars, submit
from tests.chaos.cut import CannotCut, Cutter
from tests.chaos.disk import NoDisk, SmallDisk
from tests.chaos.faults import CUT, FAULTS, FILL, Fault, Interrupted, Scene, chosen
from tests.chaos.rounds import Result, play
from tests.chaos.subjects import SUBJECTS, Subject
from tests.conftest import Florin, running_stack

INTERRUPTED = 130


@dataclass
class Run:
    """What was asked for, and what came of it so far."""

    faults: list[Fault]
    pairs: int
    seed: int
    rate: float
    pause_s: float
    folder: Path
    say: Console
    stop: threading.Event = field(default_factory=threading.Event)
    cutter: Cutter | None = None
    disk: SmallDisk | None = None
    results: list[tuple[str, Result]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def interrupt(self, _signum: int, _frame: FrameType | None) -> None:
        """End: faults that last are undone first."""
        self.stop.set()
        raise KeyboardInterrupt

    def rounds(self, choice: random.Random) -> Iterator[tuple[Fault, ...]]:
        """Each fault alone, then pairs that strike different parts."""
        able = [fault for fault in self.faults if fault.name not in self.skipped]
        yield from ((fault,) for fault in able)
        if len({fault.part for fault in able}) > 1:
            for _ in range(self.pairs):
                first = choice.choice(able)
                yield first, choice.choice([other for other in able if other.part != first.part])


def begin(run: Run, florin: Florin, name: str, prefix: str) -> Subject:
    """A job that runs, alone."""
    florin.stop_jobs()
    subject = SUBJECTS[name](florin, prefix, run.folder, run.rate)
    run.say.print(f"{name}: starting ...")
    subject.start()
    return subject


def perform(run: Run, florin: Florin, jobs: Iterable[str]) -> None:
    """All rounds of all jobs. A job that failed is begun anew, on a log of its own."""
    for name in jobs:
        choice = random.Random(f"{run.seed} {name}")
        subject: Subject | None = None
        for number, faults in enumerate(run.rounds(choice)):
            try:
                subject = subject or begin(run, florin, name, f"chaos{number}-")
                scene = Scene(florin, subject.job, run.pause_s, run.stop, run.cutter, run.disk)
                result = play(subject, scene, faults, choice)
            except BaseException as error:
                if run.stop.is_set():
                    raise Interrupted from error
                result = Result(tuple(fault.name for fault in faults), failure=_first_line(error))
                run.say.print(traceback.format_exc(), markup=False, soft_wrap=True)
                subject = None
            run.results.append((name, result))
            run.say.print(f"{name}: {' + '.join(result.faults)}: {_line(result)}", soft_wrap=True, markup=False)
        florin.stop_jobs()


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0][:300]


def _line(result: Result) -> str:
    if result.failure:
        return f"FAILED: {result.failure}"
    return (
        f"silent for {result.silent_s:.1f} s at most, steady {result.recovered_s:.1f} s after it began; "
        f"{result.records:,} records, nothing lost, nothing twice"
    )


def table(run: Run) -> Table:
    """All results, in Markdown."""
    made = Table(box=box.MARKDOWN)
    for name in ("job", "fault", "lasted s", "silent s", "steady after s", "records", "lost, doubled, audit"):
        made.add_column(name, justify="right" if name.endswith("s") and name != "job" else "left", no_wrap=True)
    for job, result in run.results:
        times = (f"{seconds:.1f}" for seconds in (result.lasted_s, result.silent_s, result.recovered_s))
        verdict = f"FAILED: {result.failure}" if result.failure else "0, 0, equal"
        made.add_row(job, " + ".join(result.faults), *times, f"{result.records:,}", verdict)
    return made


@contextmanager
def prepared(run: Run) -> Iterator[Florin]:
    """A stack that can be struck; all that was made is undone in the end, but logs stay if something failed."""
    with ExitStack() as held:
        try:
            run.disk = SmallDisk(run.folder / "disk")
            held.callback(run.disk.close)
            (run.folder / "home").mkdir()
            (run.folder / "home" / "checkpoints").symlink_to(run.disk.folder)
        except NoDisk as error:
            run.skipped[FILL.name] = str(error)
        os.environ["FLORIN_HOME"] = str(run.folder / "home")
        try:
            run.cutter = Cutter(run.folder, submit.worker_command())
            held.callback(run.cutter.close)
            os.environ["FLORIN_WORKER"] = run.cutter.command
        except CannotCut as error:
            run.skipped[CUT.name] = str(error)
        for name in set(run.skipped) & {fault.name for fault in run.faults}:
            run.say.print(f"skipped: {name}: {run.skipped[name]}", markup=False)
        florin = held.enter_context(running_stack(run.folder))
        held.callback(_keep_logs, run)
        yield florin


def _keep_logs(run: Run) -> None:
    if any(result.failure for _, result in run.results):
        kept = Path.cwd() / f".florin-chaos-{run.seed}"
        shutil.copytree(run.folder / "home" / "logs", kept, dirs_exist_ok=True)
        run.say.print(f"the logs are in {kept}")


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.option("--jobs", default=",".join(SUBJECTS), show_default=True, help="Jobs, with commas.")
@click.option("--faults", default="", metavar="NAME,...", help="Faults, or acts (kill) or parts (kafka) of them. [all]")
@click.option("--pairs", type=click.IntRange(min=0), default=5, show_default=True, help="Random pairs for each job.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeats victims, pairs and delays. [a new one]")
@click.option("--rate", type=click.FloatRange(min=20), default=150, show_default=True,
              help="Transfers/s; ten times as many card transactions.")  # fmt: skip
@click.option("--pause", "pause_s", type=click.FloatRange(min=1), default=15, show_default=True,
              help="Seconds that a pause or a cut lasts; Flink notices one of more than 12.")  # fmt: skip
@click.option("--json", "json_to", type=click.Path(dir_okay=False, path_type=Path), help="Write all results to a file.")
@click.option("--list", "listing", is_flag=True, help="List the faults and end.")
def main(
    jobs: str, faults: str, pairs: int, seed: int | None, rate: float, pause_s: float, json_to: Path | None,
    listing: bool,
) -> None:  # fmt: skip
    """Run, and print the table."""
    if listing:
        click.echo("\n".join(fault.name for fault in FAULTS))
        return
    names = [name for name in jobs.split(",") if name]
    if unknown := [name for name in names if name not in SUBJECTS]:
        raise click.BadParameter(f"no job {unknown[0]!r}; there are {', '.join(SUBJECTS)}", param_hint="--jobs")
    try:
        wanted = chosen([word for word in faults.split(",") if word])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from error
    logging.basicConfig(level=logging.ERROR)
    say = Console(stderr=True, highlight=False)
    jars.fetch()
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    say.print(f"seed {seed}; again: python -m tests.chaos --seed={seed} {_options()}".rstrip(), soft_wrap=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="florin-chaos-") as folder:
        run = Run(wanted, pairs, seed, rate, pause_s, Path(folder), say)
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, run.interrupt)
        try:
            with prepared(run) as florin:
                perform(run, florin, names)
            code = 1 if any(result.failure for _, result in run.results) else 0
        except (KeyboardInterrupt, Interrupted):
            code = INTERRUPTED
    Console(highlight=False, width=200).print(table(run))
    for name, why in run.skipped.items():
        say.print(f"skipped: {name}: {why}", markup=False)
    failed = sum(bool(result.failure) for _, result in run.results)
    say.print(
        f"{len(run.results)} rounds in {(time.monotonic() - began) / 60:.0f} minutes, {failed} failed; {machine()}"
    )
    if json_to is not None:
        told = {"seed": seed, "machine": machine(), "rate": rate, "pause_s": pause_s, "skipped": run.skipped}
        told["results"] = [{"job": job, **asdict(result)} for job, result in run.results]
        json_to.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.exit(code)


def _options() -> str:
    """The options given, but for the seed."""
    return " ".join(part for part in sys.argv[1:] if not part.startswith("--seed"))


if __name__ == "__main__":
    main()
