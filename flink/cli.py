"""`python -m flink`: the local stack's commands."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flink import object_store, paths, postgres, records, savepoints, stack
from flink.config import StackConfig
from flink.errors import StackError
from flink.processes import PORT_BASE, free_port
from flink.rest import FlinkRest

console = Console(highlight=False, soft_wrap=True)


class Commands(click.Group):
    """Errors a user can act on are printed without a traceback; exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StackError as error:
            Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {error}", soft_wrap=True)
            raise SystemExit(1) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The local stack: Kafka, Flink, PostgreSQL and an object store as children of one supervisor, all on loopback.

    The run folder is FLORIN_HOME (default ./.florin).
    """


@main.command()
@click.option("--taskmanagers", "-n", default=3, show_default=True, help="TaskManagers, one slot each.")
@click.option(
    "--port-base",
    type=int,
    envvar=PORT_BASE,
    show_envvar=True,
    help="Use PORT (Flink), +1 (Kafka), +2 (Postgres), +3 (metrics), +4 (objects) instead.",
)
@click.option("--flink-port", type=int, help="Flink's web UI and REST.  [default: 8081]")
@click.option("--kafka-port", type=int, help="Kafka.  [default: 9092]")
@click.option("--postgres-port", type=int, help="PostgreSQL.  [default: 5432]")
@click.option("--metrics-port", type=int, help="Prometheus metrics.  [default: 9250]")
@click.option("--objects-port", type=int, help="Object store.  [default: 4443]")
@click.option("--taskmanager-heap", default=384, show_default=True, help="Task heap of a TaskManager in MB.")
def up(
    taskmanagers: int,
    port_base: int | None,
    flink_port: int | None,
    kafka_port: int | None,
    postgres_port: int | None,
    metrics_port: int | None,
    objects_port: int | None,
    taskmanager_heap: int,
) -> None:
    """Start the stack and wait until every server answers."""
    asked = {
        "flink": flink_port, "kafka": kafka_port, "postgres": postgres_port, "metrics": metrics_port,
        "objects": objects_port,
    }  # fmt: skip
    usual = {"flink": 8081, "kafka": 9092, "postgres": 5432, "metrics": 9250, "objects": 4443}
    if port_base:
        usual = {name: port_base + step for step, name in enumerate(usual)}
    ports = {name: port or usual[name] for name, port in asked.items()}
    taken = set(ports.values())
    config = StackConfig(
        home=str(paths.home()),
        taskmanagers=taskmanagers,
        taskmanager_heap_mb=taskmanager_heap,
        controller=free_port(port_base + 5 if port_base else 19093, taken),
        jobmanager=free_port(port_base + 6 if port_base else 16123, taken),
        zookeeper=free_port(port_base + 7 if port_base else 12181, taken),
        **ports,
    )
    began = time.monotonic()
    started = stack.up(config, lambda line: console.print(f"  [dim]{line}[/]"))
    word = f"up after {time.monotonic() - began:.1f} s" if started else "already running"
    console.print(f"[bold green]{word}[/] in {config.home}")
    show(StackConfig.load(config.folder))


def show(config: StackConfig) -> None:
    lines = {
        "Flink web UI": config.flink_url,
        "Kafka": config.kafka_address,
        "Postgres": postgres.psql_line(config.postgres),
        "Objects": f"{config.objects_url} (gs://{', gs://'.join(object_store.BUCKETS)})",
        "Prometheus": config.metrics_url,
        "Logs": str(config.folder / "logs"),
    }
    for what, where in lines.items():
        console.print(f"{what:<13} {where}")


@main.command()
def status() -> None:
    """Processes, addresses, slots and jobs; exit code 3 if the stack is not running."""
    home = paths.home()
    state = stack.read_state(home)
    if state is None:
        console.print(f"not running in {home}. Start it: python -m flink up")
        sys.exit(3)
    config = StackConfig.load(home)
    show(config)
    well = {name: question() for name, question in stack.answers(config).items()}
    table = Table("process", "pid", "restarts", "answers", box=None, pad_edge=False)
    for name in sorted(state["restarts"]):
        key = "flink" if name == "jobmanager" else name
        answer = {True: "yes", False: "[red]no[/]"}.get(well[key], "") if key in well else ""
        table.add_row(name, str(state["pids"].get(name, {}).get("pid", "-")), str(state["restarts"][name]), answer)
    console.print(table)
    if well["flink"]:
        _show_jobs(config)


def _show_jobs(config: StackConfig) -> None:
    with FlinkRest(config.flink_url) as rest:
        seen = rest.overview()
        console.print(f"slots: {seen['slots-available']} free of {seen['slots-total']}")
        jobs = Table("job", "state", "id", "running for", box=None, pad_edge=False)
        for job in rest.jobs():
            jobs.add_row(job["name"], job["state"], job["jid"], f"{job['duration'] / 1000:.0f} s")
        console.print(jobs if jobs.row_count else "no jobs")


@main.command()
@click.argument("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on printing what is added.")
@click.option("--lines", "-n", default=40, show_default=True, help="Lines from the end.")
def logs(name: str | None, follow: bool, lines: int) -> None:
    """Print the log of NAME (kafka, zookeeper, postgres, jobmanager, taskmanager-1, supervisor), or list the logs."""
    home = paths.home()
    if name is None:
        table = Table("log", "kB", box=None, pad_edge=False)
        for file in sorted((home / "logs").glob("*")):
            table.add_row(file.name, f"{file.stat().st_size / 1000:.0f}")
        console.print(table)
        return
    files = stack.log_files(home, name)
    if not files:
        names = sorted({file.name.split(".")[0] for file in (home / "logs").glob("*")})
        raise StackError(f"No log of {name!r} in {home / 'logs'}. There are: {', '.join(names) or 'none'}")
    for file in files:
        click.echo(stack.tail(file, lines))
    if follow:
        _follow(files)


def _follow(files: list[Path]) -> None:
    offsets = {file: file.stat().st_size for file in files}
    while True:
        for file, offset in offsets.items():
            size = file.stat().st_size
            if size != offset:
                with file.open("rb") as text:
                    text.seek(offset if size > offset else 0)
                    click.echo(text.read().decode("utf-8", "replace"), nl=False)
                offsets[file] = size
        time.sleep(0.2)


@main.command()
@click.option("--delete", is_flag=True, help="Delete the run folder too: topics, tables, savepoints, logs.")
def down(delete: bool) -> None:
    """Stop all that `up` started; data stay for the next `up` unless --delete."""
    home = paths.home()
    if not home.exists():
        console.print(f"nothing to stop: no run folder {home}")
        return
    with stack.locked(home):
        was = stack.stop(home)
        stack.forget_jobs(home)
        if delete:
            shutil.rmtree(home)
    console.print(f"{'stopped' if was else 'was not running'}: {home}{' (deleted)' if delete else ''}")


@main.command()
@click.argument("number", type=click.IntRange(1, 64))
def taskmanagers(number: int) -> None:
    """Run NUMBER TaskManagers (one slot each) from now on."""
    config = _running()
    _scale(config, number)


def _running() -> StackConfig:
    home = paths.home()
    if stack.read_state(home) is None:
        raise StackError(f"The stack is not running in {home}. Remedy: python -m flink up")
    return StackConfig.load(home)


def _scale(config: StackConfig, number: int) -> None:
    began = time.monotonic()
    stack.scale(config, number)
    console.print(f"{number} TaskManagers after {time.monotonic() - began:.1f} s")


def _rest() -> FlinkRest:
    """Flink as the jobs find it: environment, local stack, default."""
    from florin_io import endpoints

    return FlinkRest(endpoints.resolve().flink)


@main.command()
@click.argument("job", required=False)
@click.option("--for-upgrade", is_flag=True, help="Pause the job's shards at a control record first.")
@click.option("--list", "listing", is_flag=True, help="List savepoints (of JOB, if named) instead.")
def savepoint(job: str | None, for_upgrade: bool, listing: bool) -> None:
    """Stop JOB with a savepoint (never drained, so it can be resumed)."""
    if listing:
        _list_savepoints(job)
        return
    if job is None:
        raise click.UsageError("name the JOB, or use --list")
    began = time.monotonic()
    with _rest() as rest:
        name = rest.require(job)["name"]
        if for_upgrade:
            _pause(name)
        made = savepoints.make(rest, name, for_upgrade=for_upgrade)
    console.print(savepoints.told(made, time.monotonic() - began))


def _pause(name: str) -> None:
    """Every shard stops at a control record of its log, so that the next version goes on from there."""
    from florin_io.control import NotPaused, pause_and_wait

    record = records.load(name)
    if not record.log_topic:
        return  # its state is not a function of a log; a savepoint at any point will do
    try:
        pause_and_wait(record.kafka, record.log_topic, record.partitions, record.group)
    except NotPaused as error:
        raise StackError(f"{error}. No savepoint was made; the job goes on.") from error


def _list_savepoints(job: str | None) -> None:
    table = Table("savepoint", "job", "made", "MB", "parallelism", "core version", box=None, pad_edge=False)
    for made in savepoints.listed(job):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made.time))
        version = f"{made.job.core_version}{' (paused for an upgrade)' if made.for_upgrade else ''}"
        row = (made.path.rsplit("/", 1)[-1], made.job.name, when, f"{made.bytes / 1e6:.1f}", str(made.job.parallelism))
        table.add_row(*row, version)
    console.print(table if table.row_count else f"no savepoints in {paths.home() / 'savepoints'}")


@main.command()
@click.argument("path", default="latest")
@click.option("--job", help="Of this job; needed if there are several, and for a savepoint not in the list.")
@click.option("--parallelism", "-p", type=click.IntRange(1, 64), help="Another parallelism than before.")
def restore(path: str, job: str | None, parallelism: int | None) -> None:
    """Start a job again from a savepoint: PATH, its last part, or `latest`.

    After a crash of the whole cluster `latest` is the last checkpoint.
    """
    chosen = savepoints.choose(path, job)
    console.print(f"restoring {chosen.job.name} from {chosen.path}")
    sys.exit(savepoints.restore(chosen, parallelism))


@main.command()
@click.argument("job")
@click.argument("parallelism", type=click.IntRange(1, 64))
def rescale(job: str, parallelism: int) -> None:
    """Stop JOB with a savepoint and resume it at PARALLELISM, with more TaskManagers if slots lack."""
    with _rest() as rest:
        name = rest.require(job)["name"]
        # While the job runs: TaskManagers that start are no pause, and its slots are known to be its own.
        seen = rest.overview()
        others = max(0, seen["slots-total"] - seen["slots-available"] - records.load(name).parallelism)
        state = stack.read_state(paths.home())
        if state is not None and state["flink"] == rest.url and seen["slots-total"] - others < parallelism:
            _scale(StackConfig.load(paths.home()), others + parallelism)
        made = savepoints.make(rest, name)
        console.print(f"{name} stopped; savepoint {made.path}")
    sys.exit(savepoints.restore(made, parallelism))
