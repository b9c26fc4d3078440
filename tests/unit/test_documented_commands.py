"""Every command in README and docs is one that the program takes, with these subcommands and options."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_LINE = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(?:python -m|make) (.*?)(?:\s{2,}.*|\s+#.*)?$", re.M)
_SPAN = re.compile(r"`(?:\.venv/bin/)?(?:python -m|make) ([^`]+)`")
_MADE_UP = re.compile(r"\.\.\.|jobs\.X\b|--->")
# What takes anything, or no option at all.
_NO_HELP = {"pytest", "flink.jars", "flink.lock", "tests.kernels", "transforms.subledger.warm"}


def _commands() -> list[str]:
    """Arguments of `python -m` and `make` in code spans and fenced lines."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _FENCED.findall(text):
            found.update(_LINE.findall(block))
        found.update(span.replace("\n", " ") for span in _SPAN.findall(_FENCED.sub("", text)))
    return sorted({command.partition(" | ")[0].strip() for command in found if not _MADE_UP.search(command)})


COMMANDS = _commands()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
MODULES = [command for command in COMMANDS if "." in command.split()[0] or command.split()[0] == "flink"]


def test_the_commands_were_found() -> None:
    assert len(MODULES) > 60
    assert {"jobs.hub positions", "flink down --delete", "jobs.transfer --runner=FlinkRunner"} <= set(MODULES)


@pytest.mark.parametrize("command", [command for command in MODULES if command.split()[0] not in _NO_HELP])
def test_a_documented_command_exists_with_its_options(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, *words = shlex.split(command)
    monkeypatch.setattr(sys, "argv", [module, *words, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=False)
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    # click reads the command before it helps; argparse does not.
    for word in words if told.out.startswith("usage:") else ():
        if word.startswith("--"):
            assert word.split("=")[0] in told.out, f"{word} is not in the help of {module}"


@pytest.mark.parametrize("target", sorted(set(COMMANDS) - set(MODULES)))
def test_a_documented_target_of_make_exists(target: str) -> None:
    words = target.split()
    if words[0] == "pytest":
        places = [word for word in words if word.startswith("tests/")]
        assert places
        assert all((ROOT / place).exists() for place in places)
    else:
        assert words[0] in TARGETS
