"""Load card histories: a bounded Beam job that writes one Arrow file per partition and cell, and a manifest.

    python -m jobs.card_history --cards 1000000 --out histories              # simulated, on Flink
    python -m jobs.card_history --parquet 'past/*.parquet' --out gs://bucket/histories
    python -m jobs.card_history --out histories --verify                     # check every file

The streaming job starts from these files (python -m jobs.cards start --history DIR). Running it again is safe: what is
there already is checked and kept, what was interrupted is made anew.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import click
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.text import Text

from flink import submit
from flink.errors import StackError
from flink.records import JobRecord
from flink.rest import TERMINAL, FlinkError, FlinkRest
from florin_io import tables
from florin_io.folder import Folder, FolderUnreachable
from jobs.card_population import PeopleOf, population_options
from transforms.card_history import InputFile, Load, LoadHistories, SimulateHistories, rejects_name
from transforms.cards.history_files import MANIFEST, HistoryError, Manifest, read_manifest, verify
from transforms.cards.routing import CARD_CELLS

FAILED, USAGE, UNREACHABLE, UNFIT = 1, 2, 3, 4
_PROGRESS_S = 2.0
_POLL_S = 0.2


@click.command(
    help=(__doc__ or "").replace("\n\n    python", "\n\n\b\n    python"),
    epilog="Exit codes: 0 loaded and verified, 1 the job failed, 2 wrong options, 3 Flink or the folder cannot be "
    "reached, 4 what is there does not fit or is damaged.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder of the files: a path, or gs://bucket/path.")
@click.option("--cards", type=click.IntRange(min=1), help="Simulate the histories of so many cards.")
@click.option("--csv", "csv_files", multiple=True, metavar="FILES",
              help="Load CSV files with a header (pattern in quotes; repeatable).")  # fmt: skip
@click.option("--parquet", "parquet_files", multiple=True, metavar="FILES", help="Load Parquet files.")
@click.option("--packets", "packet_files", multiple=True, metavar="FILES", help="Load files of 100-byte packets.")
@click.option("--partitions", type=click.IntRange(1, 999), default=4, show_default=True,
              help="Partitions of the transactions' topic, as given to jobs.cards.")  # fmt: skip
@population_options(start="Simulated histories end at this midnight (UTC).")
@click.option("--overwrite", is_flag=True, help="Replace other histories in the folder.")
@click.option("--verify", "only_verify", is_flag=True, help="Load nothing; check every file against the manifest.")
@click.option("--runner", default="FlinkRunner", show_default=True,
              help="FlinkRunner, or DirectRunner: on this machine, without a cluster.")  # fmt: skip
@click.option("--parallelism", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@click.option("--flink_master", "--flink-master", metavar="HOST:PORT",
              help="Flink's REST address. [FLORIN_FLINK, the local stack, localhost:8081]")  # fmt: skip
@click.option("--job_name", "--job-name", default="card-history", show_default=True, help="Name on the cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on one line.")
def main(
    out: str, cards: int | None, csv_files: tuple[str, ...], parquet_files: tuple[str, ...],
    packet_files: tuple[str, ...], partitions: int, people_of: PeopleOf, overwrite: bool, only_verify: bool,
    runner: str, parallelism: int, flink_master: str | None, job_name: str, as_json: bool,
) -> None:  # fmt: skip
    console = Console(highlight=False, stderr=as_json)
    folder = Folder(out if "://" in out else str(Path(out).absolute()))
    began = time.monotonic()
    try:
        if only_verify:
            _tell(verify(folder), folder, began, "verified", as_json, console)
            return
        patterns = [("csv", csv_files), ("parquet", parquet_files), ("packets", packet_files)]
        files = _input_files([(form, pattern) for form, some in patterns for pattern in some])
        if (cards is None) == (not files):
            raise click.UsageError("give --cards to simulate histories, or --csv, --parquet or --packets to load them")
        if cards is not None:
            people = people_of(cards)
            source: dict[str, Any] = {"kind": "simulated", **vars(people)}
            transform: beam.PTransform = SimulateHistories(load := Load(folder, partitions, source), people)
        else:
            source = {"kind": "files", "files": [[name, size] for _, name, size in files]}
            numbered = [InputFile(number, name, form) for number, (form, name, _) in enumerate(files)]
            transform = LoadHistories(load := Load(folder, partitions, source), numbered)
        if (there := _prepare(load, overwrite)) is not None:
            _tell(there, folder, began, "there already, verified", as_json, console)
            return
        with _progress(folder, partitions, console):
            _run(transform, runner, parallelism, job_name, flink_master, console)
        _tell(verify(folder, partitions, contents=False), folder, began, "loaded", as_json, console)
    except (HistoryError, FileNotFoundError, tables.TableError) as error:
        _fail(error, UNFIT)
    except (FolderUnreachable, FlinkError) as error:
        _fail(error, UNREACHABLE)
    except StackError as error:
        _fail(error, UNREACHABLE if "answers at" in str(error) else FAILED)
    except ValueError as error:
        _fail(error, USAGE)
    except RuntimeError as error:
        told = _of_worker(str(error))
        _fail(RuntimeError(told), UNFIT if told != str(error) else FAILED)
    except KeyboardInterrupt:
        click.echo(
            "\ninterrupted: there is no manifest yet, so nothing will use what was written; load again", err=True
        )
        sys.exit(130)


def _input_files(wanted: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Form, path and size of every file. Raises FileNotFoundError."""
    return [(form, path, size) for form, pattern in wanted for path, size in tables.match(pattern)]


def _prepare(load: Load, overwrite: bool) -> Manifest | None:
    """The manifest of the same load if it is there and whole; otherwise the folder is made ready for this one."""
    if load.folder.size(MANIFEST) is None:
        return None
    try:
        there = read_manifest(load.folder)
        same = there.partitions == load.partitions and there.source == json.loads(json.dumps(load.source))
        if same and not overwrite:
            return verify(load.folder, load.partitions)
        if not overwrite:
            raise HistoryError(
                f"{load.folder.where} holds other histories ({there.cards:,} cards for {there.partitions} partitions, "
                f"{there.source.get('kind')}): name another folder, or replace them with --overwrite"
            )
        old = [entry.name for entry in there.files]
    except HistoryError:
        if not overwrite:
            raise
        old = []
    # The manifest goes first: without it nobody uses what is being replaced.
    for name in (MANIFEST, *old):
        load.folder.delete(name)
    return None


def _run(
    transform: beam.PTransform, runner: str, parallelism: int, name: str, flink: str | None, console: Console
) -> None:
    """Run to the end. Raises what the job failed with."""
    if runner == "FlinkRunner":
        options = PipelineOptions(submit.flink_defaults([], name, parallelism, streaming=False))
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | "Histories" >> transform
        handle = submit.submit(pipeline, JobRecord(name=name, parallelism=parallelism), flink=flink, bounded=True)
        console.print(f"job {name}: {handle.web}", soft_wrap=True)
        with FlinkRest(handle.flink) as rest:
            try:
                while (state := rest.state(handle.job_id)) not in TERMINAL:
                    time.sleep(_POLL_S)
            except KeyboardInterrupt:
                rest.cancel(handle.job_id)
                raise
            if state != "FINISHED":
                raise RuntimeError(f"the job ended {state}\n{submit.cause(rest.exceptions(handle.job_id))}")
        return
    told = [f"--runner={runner}"]
    if runner == "DirectRunner":
        told += ["--direct_running_mode=multi_processing", f"--direct_num_workers={parallelism}"]
        # Its worker processes tell everything they do on our terminal.
        told.append("--default_sdk_harness_log_level=ERROR")
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what fails the job is raised, and told by us
    with beam.Pipeline(options=PipelineOptions(told)) as pipeline:
        _ = pipeline | "Histories" >> transform


@contextmanager
def _progress(folder: Folder, partitions: int, console: Console) -> Iterator[None]:
    """A line now and then with how many files of a local folder are written."""
    done, began = threading.Event(), time.time()

    def tell() -> None:
        while not done.wait(_PROGRESS_S):
            made = [file.stat() for file in Path(folder.where).glob("partition-*/cell-*.arrow")]
            new = [stat.st_size for stat in made if stat.st_mtime >= began]
            files = f"{len(new)} of at most {partitions * CARD_CELLS} files, {sum(new) / 1e6:,.0f} MB"
            console.print(f"{time.time() - began:5.0f} s | {files if new else 'workers begin'}", soft_wrap=True)

    watcher = threading.Thread(target=tell, daemon=True)
    if folder.is_local:
        watcher.start()
    try:
        yield
    finally:
        done.set()
        if folder.is_local:
            watcher.join()


def _tell(manifest: Manifest, folder: Folder, began: float, what: str, as_json: bool, console: Console) -> None:
    seconds = time.monotonic() - began
    told = {
        "what": what, "folder": folder.where, "cards": manifest.cards, "transactions": manifest.items,
        "files": len(manifest.files), "bytes": manifest.size, "rejected": manifest.rejected,
        "partitions": manifest.partitions, "digest": manifest.digest, "seconds": round(seconds, 2),
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(told))
        return
    console.print(
        f"{what} in {seconds:.1f} s: {manifest.cards:,} cards, {manifest.items:,} transactions, {len(manifest.files)} "
        f"files, {manifest.size / 1e6:,.0f} MB for {manifest.partitions} partitions in {folder.where}",
        soft_wrap=True,
    )
    if manifest.rejected:
        named = folder.path(rejects_name(0)).replace("00000", "*")
        console.print(f"  {manifest.rejected:,} records were not taken; why: {named}", soft_wrap=True)


def _of_worker(text: str) -> str:
    """What a worker complained of: the message of our own errors without the stack traces around it, else all."""
    for line in reversed(text.splitlines()):
        for name in ("TableError: ", "HistoryError: ", "FolderUnreachable: "):
            if name in line:
                return line.split(name, 1)[1].split(" [while running", 1)[0]
    return text


def _fail(error: Exception, code: int) -> None:
    Console(stderr=True, highlight=False).print("[red]error:[/]", Text(str(error)), soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
