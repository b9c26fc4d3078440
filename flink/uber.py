"""The jar a job is submitted as: a manifest that points to Beam's jars on this machine, and the pipeline."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

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


def job_jar(class_path: Iterable[Path], pipeline_json: str, options_json: str) -> bytes:
    """The whole jar: a pipeline and its options in Beam's JSON."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as jar:
        jar.writestr("META-INF/MANIFEST.MF", manifest(class_path))
        jar.writestr(f"{FOLDER}/pipeline-manifest.json", json.dumps({"defaultJobName": NAME}))
        jar.writestr(f"{FOLDER}/{NAME}/pipeline.json", pipeline_json)
        jar.writestr(f"{FOLDER}/{NAME}/pipeline-options.json", options_json)
    return out.getvalue()
