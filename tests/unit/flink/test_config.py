"""The settings that Kafka and Flink are started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from flink import config
from flink.config import StackConfig

pytestmark = pytest.mark.unit
CONFIG = StackConfig(home="/run folder", kafka=19092, flink=18081, postgres=15432, metrics=19250, taskmanagers=2)


def parsed(text: str, separator: str) -> dict[str, str]:
    return {key: value.strip('"') for key, value in (line.split(separator, 1) for line in text.splitlines())}


def test_kafka_listens_on_loopback_only_and_makes_no_topic_by_itself() -> None:
    found = parsed(config.kafka_properties(CONFIG), "=")
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert found["auto.create.topics.enable"] == "false"
    assert found["message.max.bytes"] == str(2 * 1024 * 1024)


def test_every_address_of_flink_is_loopback() -> None:
    found = parsed(config.flink_config(CONFIG), ": ")
    addresses = [value for key, value in found.items() if key.endswith(("host", "address"))]
    assert len(addresses) >= 6
    assert set(addresses) == {"127.0.0.1"}
    assert found["rest.port"] == "18081"
    assert found["metrics.reporter.prometheus.hostUrl"] == "http://127.0.0.1:19250"


def test_flink_keeps_what_outlives_a_jobmanager_at_a_zookeeper_that_listens_on_loopback_only() -> None:
    server, flink = parsed(config.zookeeper_properties(CONFIG), "="), parsed(config.flink_config(CONFIG), ": ")
    assert f"{server['clientPortAddress']}:{server['clientPort']}" == "127.0.0.1:12181"
    assert flink["high-availability.zookeeper.quorum"] == "127.0.0.1:12181"
    assert flink["high-availability.storageDir"] == "file:///run%20folder/ha"
    # A server grants no session that is shorter than two of its ticks.
    assert int(flink["high-availability.zookeeper.client.session-timeout"]) >= 2 * int(server["tickTime"])


def test_state_lives_in_the_run_folder_also_with_a_space_in_its_name() -> None:
    found = parsed(config.flink_config(CONFIG), ": ")
    assert found["execution.checkpointing.dir"] == "file:///run%20folder/checkpoints"
    assert found["execution.checkpointing.savepoint-dir"] == "file:///run%20folder/savepoints"


def test_settings_survive_a_round_trip_through_the_run_folder(tmp_path: Path) -> None:
    settings = StackConfig(home=str(tmp_path), taskmanagers=5)
    config.write_files(settings)
    assert StackConfig.load(tmp_path) == settings
    assert (tmp_path / "conf" / "config.yaml").exists()
