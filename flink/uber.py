"""The jar a job is submitted as: a manifest that points to Beam's jars on this machine, and the pipeline.

python -m flink.uber FILE       # a jar that only points to Beam's jars, as one entry of a class path
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from flink import jars

# Lines of a manifest have at most 72 bytes; the rest goes on in lines that start with a space.
LINE_BYTES = 72
# These must agree with Beam's PortablePipelineJarUtils.java.
FOLDER = "BEAM-PIPELINE"
NAME = "pipeline"
ENTRY_CLASS = "org.apache.beam.runners.flink.FlinkPipelineRunner"


def manifest(class_path: Iterable[Path]) -> bytes:
    """A manifest whose Class-Path lists the files as absolute URLs."""
    lines = ["Manifest-Version: 1.0", f"Main-Class: {ENTRY_CLASS}"]
    lines.append("Class-Path: " + " ".join(file.absolute().as_uri() for file in class_path))
    return b"".join(_wrap(line.encode()) for line in lines) + b"\r\n"


def _wrap(line: bytes) -> bytes:
    parts, rest = [line[:LINE_BYTES]], line[LINE_BYTES:]
    while rest:
        parts.append(b" " + rest[: LINE_BYTES - 1])
        rest = rest[LINE_BYTES - 1 :]
    return b"\r\n".join(parts) + b"\r\n"


def path_jar(class_path: Iterable[Path], texts: dict[str, str] | None = None) -> bytes:
    """A jar that stands for the files in this order, and holds texts by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as jar:
        jar.writestr("META-INF/MANIFEST.MF", manifest(class_path))
        for name, text in (texts or {}).items():
            jar.writestr(name, text)
    return out.getvalue()


def job_jar(class_path: Iterable[Path], pipeline_json: str, options_json: str) -> bytes:
    """The whole jar: a pipeline and its options in Beam's JSON."""
    texts = {
        f"{FOLDER}/pipeline-manifest.json": json.dumps({"defaultJobName": NAME}),
        f"{FOLDER}/{NAME}/pipeline.json": pipeline_json,
        f"{FOLDER}/{NAME}/pipeline-options.json": options_json,
    }
    return path_jar(class_path, texts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(path_jar(jars.class_path("beam")))
