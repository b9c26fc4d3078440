"""What is known of a job beyond Flink: its command and its log; one JSON file per job name in the run folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flink import paths
from flink.config import write_atomic
from flink.errors import StackError


def this_command() -> list[str]:
    """The command line of this process, with its interpreter in full."""
    return [sys.executable, *sys.orig_argv[1:]]


@dataclass(frozen=True)
class JobRecord:
    """A submitted job; `command` in `folder` submits it again."""

    name: str
    parallelism: int
    topic_prefix: str = ""
    log_topic: str = ""
    partitions: int = 0
    group: str = ""
    kafka: str = ""
    core_version: int = 0
    job_id: str = ""
    flink: str = ""
    command: list[str] = field(default_factory=this_command)
    folder: str = field(default_factory=os.getcwd)

    def save(self) -> None:
        file = _file(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(asdict(self), indent=1) + "\n")


def _file(name: str) -> Path:
    return paths.home() / "jobs" / f"{name.replace('/', '_')}.json"


def every() -> list[JobRecord]:
    """The records of all jobs submitted from this run folder."""
    files = sorted((paths.home() / "jobs").glob("*.json"))
    return [JobRecord(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def load(name: str) -> JobRecord:
    """The record of a job; the error lists those there are."""
    file = _file(name)
    if not file.exists():
        known = ", ".join(sorted(other.stem for other in file.parent.glob("*.json"))) or "none"
        raise StackError(f"No job {name!r} was submitted from {paths.home()}. Known: {known}")
    return JobRecord(**json.loads(file.read_text(encoding="utf-8")))
