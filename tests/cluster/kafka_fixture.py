"""A Kafka of the tests' own, with the local stack's settings, at a free port of loopback."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity

from flink import children, config, jars
from florin_io.kafka.client import KafkaUnreachable, admin


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker that runs for the session."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    jars.fetch()
    settings = config.StackConfig(str(folder), kafka=_free_port(), controller=_free_port(), kafka_heap_mb=400)
    config.write_files(settings)
    child = children.kafka(settings)
    with (folder / "out.log").open("w") as log:
        process = subprocess.Popen(child.command, stdout=log, stderr=log, env={**os.environ, **child.env})
    try:
        tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(KafkaUnreachable), stop=tenacity.stop_after_delay(90), reraise=True
        )(admin, settings.kafka_address, 2)
        yield settings.kafka_address
    finally:
        process.terminate()
        process.wait(30)
