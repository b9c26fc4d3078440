"""What the demonstrations share: steps that are commands, shown as a user would type them, and a clean end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from flink import stack
from flink.paths import home
from flink.rest import FlinkError, FlinkRest
from florin_io import endpoints

INTERRUPTED = 130


class StepFailed(Exception):
    """A command of the demonstration ended with an error, which it has printed itself."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(command)
        self.code = code


def demonstrate(show: Callable[[Console], int]) -> NoReturn:
    """Run a demonstration and exit with its code; Ctrl-C or a failed step stops a stack that was not up before."""
    console = Console(highlight=False)
    was_up = stack.read_state(home()) is not None
    try:
        sys.exit(show(console))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except StepFailed as error:
        console.print(f"[red]{error} ended with exit code {error.code}[/red]")
        code = error.code
    if was_up:
        console.print("The stack was up before and stays so; `make down` stops it.")
    else:
        subprocess.run([sys.executable, "-m", "flink", "down"], check=False)
    sys.exit(code)


def step(console: Console, module: str, *arguments: str, may_fail: bool = False) -> int:
    """Run one command as a user would type it; its output goes to this terminal."""
    command = " ".join(("python -m", module, *arguments))
    console.print(f"\n[bold]$ {command}[/bold]", soft_wrap=True)
    with subprocess.Popen([sys.executable, "-m", module, *arguments]) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.wait()  # the terminal told it too; let it say what it has to
            raise
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code and not may_fail:
        raise StepFailed(command, code)
    return code


def runs(job: str) -> bool:
    """Whether the cluster runs a job of this name."""
    try:
        with FlinkRest(endpoints.resolve().flink) as rest:
            return rest.find(job) is not None
    except FlinkError:
        return False


def python_shown() -> str:
    """This interpreter as a user would type it."""
    python = Path(sys.executable)
    return str(python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python)
