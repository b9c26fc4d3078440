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

from flink import paths, postgres, stack
from flink.config import StackConfig
from flink.errors import StackError
from flink.processes import free_port
from flink.rest import FlinkRest

console = Console(highlight=False)


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
    """The local stack: Kafka, Flink and PostgreSQL as child processes of one supervisor, all on loopback.

    The run folder is FLORIN_HOME (default ./.florin).
    """


@main.command()
@click.option("--taskmanagers", "-n", default=3, show_default=True, help="TaskManagers, one slot each.")
@click.option("--port-base", type=int, help="Use PORT (Flink), +1 (Kafka), +2 (Postgres), +3 (metrics) instead.")
@click.option("--flink-port", type=int, help="Flink's web UI and REST.  [default: 8081]")
@click.option("--kafka-port", type=int, help="Kafka.  [default: 9092]")
@click.option("--postgres-port", type=int, help="PostgreSQL.  [default: 5432]")
@click.option("--metrics-port", type=int, help="Prometheus metrics.  [default: 9250]")
@click.option("--taskmanager-heap", default=384, show_default=True, help="Task heap of a TaskManager in MB.")
def up(
    taskmanagers: int,
    port_base: int | None,
    flink_port: int | None,
    kafka_port: int | None,
    postgres_port: int | None,
    metrics_port: int | None,
    taskmanager_heap: int,
) -> None:
    """Start the stack and wait until every server answers."""
    asked = {"flink": flink_port, "kafka": kafka_port, "postgres": postgres_port, "metrics": metrics_port}
    usual = {"flink": 8081, "kafka": 9092, "postgres": 5432, "metrics": 9250}
    if port_base:
        usual = {name: port_base + step for step, name in enumerate(usual)}
    ports = {name: port or usual[name] for name, port in asked.items()}
    taken = set(ports.values())
    config = StackConfig(
        home=str(paths.home()),
        taskmanagers=taskmanagers,
        taskmanager_heap_mb=taskmanager_heap,
        controller=free_port(19093, taken),
        jobmanager=free_port(16123, taken),
        **ports,
    )
    began = time.monotonic()
    started = stack.up(config, lambda line: console.print(f"  [dim]{line}[/]"))
    word = f"up after {time.monotonic() - began:.1f} s" if started else "already running"
    console.print(f"[bold green]{word}[/] in {config.home}")
    show(StackConfig.load(config.folder))


def show(config: StackConfig) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("Flink web UI", config.flink_url)
    table.add_row("Kafka", config.kafka_address)
    table.add_row("Postgres", postgres.psql_line(config.postgres))
    table.add_row("Prometheus", config.metrics_url)
    table.add_row("Logs", str(config.folder / "logs"))
    console.print(table, soft_wrap=True)


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
    """Print the log of NAME (kafka, postgres, jobmanager, taskmanager-1, ..., supervisor), or list the logs."""
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
        if delete:
            shutil.rmtree(home)
    console.print(f"{'stopped' if was else 'was not running'}: {home}{' (deleted)' if delete else ''}")
