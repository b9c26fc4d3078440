"""Savepoints of jobs by name: making them, the list of those in the run folder, and starting a job again from one."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from flink import paths, records
from flink.config import write_atomic
from flink.errors import StackError
from flink.records import JobRecord
from flink.rest import FlinkRest

# Options of a job's command that a restore sets anew.
REPLACED = ("--savepoint_path", "--parallelism")


@dataclass(frozen=True)
class Savepoint:
    """A savepoint and the job as it was when it was made."""

    path: str
    job: JobRecord
    time: float
    for_upgrade: bool = False

    @property
    def bytes(self) -> int:
        folder = local(self.path)
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0


def local(path: str) -> Path | None:
    """The folder of a savepoint path, if it is on this machine."""
    parsed = urlparse(path)
    if parsed.scheme not in ("", "file"):
        return None
    return Path(unquote(parsed.path) if parsed.scheme else path)


def _registry() -> Path:
    return paths.home() / "savepoints"


def register(savepoint: Savepoint) -> None:
    folder = _registry()
    folder.mkdir(parents=True, exist_ok=True)
    name = savepoint.path.rstrip("/").rsplit("/", 1)[-1]
    write_atomic(folder / f"{name}.json", json.dumps(asdict(savepoint), indent=1) + "\n")


def listed(job: str | None = None) -> list[Savepoint]:
    """The savepoints that still exist, newest first; of one job if named."""
    found = []
    for file in _registry().glob("*.json"):
        fields = json.loads(file.read_text(encoding="utf-8"))
        savepoint = Savepoint(**{**fields, "job": JobRecord(**fields["job"])})
        folder = local(savepoint.path)
        if (folder is None or folder.exists()) and job in (None, savepoint.job.name):
            found.append(savepoint)
    return sorted(found, key=lambda savepoint: -savepoint.time)


def retained(record: JobRecord) -> Savepoint | None:
    """The last checkpoint of the job's latest run, which a crash or a cancel leaves behind."""
    folder = paths.home() / "checkpoints" / record.job_id
    found = list(folder.glob("chk-*/_metadata")) if record.job_id else []
    if not found:
        return None
    newest = max(found, key=lambda file: int(file.parent.name.removeprefix("chk-")))
    return Savepoint(newest.parent.as_uri(), record, newest.stat().st_mtime)


def choose(wanted: str, job: str | None = None) -> Savepoint:
    """`latest` (savepoint, or checkpoint that a crash left), or a savepoint's path or the last part of it."""
    known = listed(job)
    if wanted == "latest":
        checkpoints = [retained(record) for record in records.every() if job in (None, record.name)]
        both = [*known, *(checkpoint for checkpoint in checkpoints if checkpoint is not None)]
        if not both:
            raise StackError(f"No savepoint or checkpoint{f' of {job!r}' if job else ''} in {paths.home()}.")
        if len(jobs := sorted({savepoint.job.name for savepoint in both})) > 1:
            raise StackError(f"There are savepoints or checkpoints of {', '.join(jobs)}: name the job with --job.")
        return max(both, key=lambda savepoint: savepoint.time)
    for savepoint in known:
        if wanted.rstrip("/") in (savepoint.path, str(local(savepoint.path)), savepoint.path.rsplit("/", 1)[-1]):
            return savepoint
    if job is None:
        raise StackError(
            f"{wanted} is no savepoint listed here (`python -m flink savepoint --list`); name its job with --job."
        )
    if "/" not in wanted or (local(wanted) is not None and not Path(str(local(wanted))).exists()):
        raise StackError(f"There is no savepoint {wanted}.")
    path = wanted if "://" in wanted else Path(wanted).absolute().as_uri()
    return Savepoint(path, records.load(job), time.time())


def make(rest: FlinkRest, name: str, *, for_upgrade: bool = False) -> Savepoint:
    """Stops the job of that name with a savepoint, without drain."""
    job = rest.require(name)
    record = records.load(job["name"])
    path = rest.stop(job["jid"])
    savepoint = Savepoint(path, record, time.time(), for_upgrade)
    register(savepoint)
    return savepoint


def told(made: Savepoint, seconds: float) -> str:
    """What the user is told whose job was stopped with it."""
    name = made.job.name
    return (
        f"{name} stopped after {seconds:.1f} s; savepoint {made.path} ({made.bytes / 1e6:.1f} MB)\n"
        f"Resume it: python -m flink restore --job {name}"
    )


def restore_command(savepoint: Savepoint, parallelism: int | None = None) -> list[str]:
    """The job's recorded command, resuming from the savepoint."""
    kept: list[str] = []
    skip = False
    for part in savepoint.job.command:
        if skip:
            skip = False
        elif part in REPLACED:
            skip = True
        elif not part.startswith(tuple(f"{option}=" for option in REPLACED)):
            kept.append(part)
    wanted = parallelism or savepoint.job.parallelism
    detach = [] if "--detach" in kept else ["--detach"]
    return [*kept, *detach, f"--parallelism={wanted}", f"--savepoint_path={savepoint.path}"]


def restore(savepoint: Savepoint, parallelism: int | None = None) -> int:
    """Runs the job's command again in its folder; its exit code."""
    return subprocess.run(restore_command(savepoint, parallelism), cwd=savepoint.job.folder, check=False).returncode
