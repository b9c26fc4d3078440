"""The file of Kafka's settings: where secrets may come from, and what is told of a file that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from florin_io.kafka.client import client_config, make
from florin_io.kafka.settings import CONFIG_FILE, KafkaSettingsError

pytestmark = pytest.mark.unit


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "client.properties"
    monkeypatch.setenv(CONFIG_FILE, str(made))
    return made


def test_settings_are_those_of_the_file_and_ours_win(file: Path) -> None:
    file.write_text("# a comment\n\n security.protocol = ssl \nisolation.level=read_uncommitted\n")
    found = client_config("k:9092", **{"isolation.level": "read_committed"})
    assert found["security.protocol"] == "ssl"
    assert found["isolation.level"] == "read_committed"
    assert found["bootstrap.servers"] == "k:9092"


def test_a_secret_comes_from_a_file_or_the_environment(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_OF_KAFKA", "florin")
    (tmp_path / "password").write_text("a=b #c\n")
    file.write_text(f"sasl.username=${{env:USER_OF_KAFKA}}\nsasl.password=${{file:{tmp_path}/password}}\n")
    found = client_config("k:9092")
    assert (found["sasl.username"], found["sasl.password"]) == ("florin", "a=b #c")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hunter2\n", r"client.properties:1: expected name=value. Remedy: one setting"),
        ("\nsasl.jaas.config=hunter2\n", r"properties:2: sasl.jaas.config is a setting of Java.*sasl.username and"),
        ("bootstrap.servers=k:1\n", r"properties:1: the address is no part.*--kafka or FLORIN_KAFKA"),
        ("ssl.ca.location=/nowhere/ca.pem\n", r"properties:1: ssl.ca.location names /nowhere/ca.pem, which is not"),
        ("sasl.password=${env:NOT_SET}\n", r"properties:1: sasl.password is to come from the variable NOT_SET"),
        ("sasl.password=${file:/nowhere}\n", r"properties:1: sasl.password is to come from a file that cannot be read"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_without_its_value(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(KafkaSettingsError, match=told) as caught:
        client_config("k:9092")
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named_with_the_variable(file: Path) -> None:
    with pytest.raises(KafkaSettingsError, match=rf"{CONFIG_FILE} names {file} .*Remedy: make the file"):
        client_config("k:9092")


def test_what_the_client_does_not_know_is_told_with_the_file(file: Path) -> None:
    file.write_text("security.protocoll=ssl\n")
    with pytest.raises(KafkaSettingsError, match=r"No such configuration property.*Remedy: correct .*client.propert"):
        make(AdminClient, client_config("k:9092"))
