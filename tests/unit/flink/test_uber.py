"""The jar that a job is submitted as."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from flink import uber

pytestmark = pytest.mark.unit


def unwrapped(manifest: bytes) -> dict[str, str]:
    text = manifest.decode().replace("\r\n ", "")
    return dict(line.split(": ", 1) for line in text.splitlines() if line)


@pytest.mark.parametrize("count", [0, 1, 2, 150])
def test_no_line_of_a_manifest_is_longer_than_72_bytes(count: int) -> None:
    files = [Path(f"/cache/of jars/{'ä' * number}/beam-{number}.jar") for number in range(count)]
    made = uber.manifest(files)
    assert made.endswith(b"\r\n\r\n")
    assert max(len(line) for line in made.split(b"\r\n")) <= 72
    assert unwrapped(made)["Class-Path"].split() == [file.as_uri() for file in files]


@pytest.mark.parametrize("length", range(50, 75))
def test_a_path_of_any_length_reads_back(length: int) -> None:
    file = Path("/" + "x" * length)
    assert unwrapped(uber.manifest([file]))["Class-Path"] == file.as_uri()


def test_the_jar_holds_what_beam_looks_for() -> None:
    made = uber.job_jar([Path("/cache/beam.jar")], '{"pipeline": 1}', '{"options": 1}')
    with zipfile.ZipFile(io.BytesIO(made)) as jar:
        assert jar.namelist()[0] == "META-INF/MANIFEST.MF"
        assert jar.read("BEAM-PIPELINE/pipeline-manifest.json") == b'{"defaultJobName": "pipeline"}'
        assert jar.read("BEAM-PIPELINE/pipeline/pipeline.json") == b'{"pipeline": 1}'
        assert jar.read("BEAM-PIPELINE/pipeline/pipeline-options.json") == b'{"options": 1}'


def test_a_jar_may_only_point_to_others() -> None:
    made = uber.path_jar([Path("/cache/a.jar"), Path("/cache/b.jar")])
    with zipfile.ZipFile(io.BytesIO(made)) as jar:
        assert jar.namelist() == ["META-INF/MANIFEST.MF"]
        assert unwrapped(jar.read("META-INF/MANIFEST.MF"))["Class-Path"] == "file:///cache/a.jar file:///cache/b.jar"
