"""Kafka over TLS: with a password, with a certificate, and what is told when one of them is not right."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException, Message

from florin_io.control import append_everywhere
from florin_io.kafka import writer
from florin_io.kafka.client import admin
from florin_io.kafka.log import GroupOffsets, LogReader, TopicReader
from florin_io.kafka.settings import CONFIG_FILE, KafkaUnreachable
from florin_io.kafka.topics import TopicSpec, ensure
from florin_io.kafka.writer import TransactionalWriter
from jobs.load.wire import Sender
from tests.certificates import Authority
from tests.cluster.secure_kafka import PASSWORD, SecureKafka
from tests.cluster.system import TransferSystem
from tests.conftest import Florin, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]
SettingsFile = Callable[[str], None]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    made = SecureKafka(tmp_path_factory.mktemp("secure"))
    with made.running():
        yield made


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsFile:
    """Writes the file that our clients read."""
    file = tmp_path / "client.properties"
    monkeypatch.setenv(CONFIG_FILE, str(file))
    return lambda text: (file.write_text(f"{text}log_level=0\n"), None)[1]


class SecureFlorin(Florin):
    """The session's stack, with another Kafka."""

    def __init__(self, florin: Florin, kafka: str) -> None:
        super().__init__(florin.home)
        self._kafka = kafka

    @property
    def kafka(self) -> str:
        return self._kafka


def test_a_job_and_all_commands_work_with_a_password_that_nobody_sees(
    florin: Florin, secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TaskManagers have the variable since they were started; their workers read the file when the job starts."""
    file = Path(os.environ[CONFIG_FILE])
    before = file.read_text()
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("FLORIN_KAFKA", secure.scram)
    try:
        file.write_text(secure.settings(**{"sasl.password": f"${{file:{password}}}"}) + "log_level=0\n")
        system = TransferSystem(SecureFlorin(florin, secure.scram), "secure-")
        system.start()
        system.set_up()
        system.load(rate=100, seconds=2)
        eventually("rest", system.at_rest)
        system.audit()
        florin.run("jobs.hub", "dead-letters", "list", "--topic-prefix", "secure-")
        with florin.rest() as rest:
            job = rest.job(system.job_id())
            shown = [str(job), str(rest.get(f"/jobs/{system.job_id()}/config")), str(rest.get("/jobmanager/config"))]
        commands = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
        logs = [path.read_text(errors="replace") for path in (florin.home / "logs").iterdir()]
        assert "externalizedCheckpointsEnabled" in shown[1], "the job's options are shown there"
        assert not [text for text in [*shown, *commands, *logs] if PASSWORD in text]
    finally:
        florin.stop_jobs()
        file.write_text(before)


@pytest.mark.parametrize("how", ["password", "certificate"])
def test_every_kind_of_client_takes_the_settings(secure: SecureKafka, settings: SettingsFile, how: str) -> None:
    settings(secure.settings() if how == "password" else secure.mutual_settings())
    kafka = secure.scram if how == "password" else secure.mutual
    topic = f"all-{how}"
    assert ensure(admin(kafka), [TopicSpec(topic, 1)]) == [topic]
    follower = TopicReader(kafka, topic, 1, "florin-test")
    append_everywhere(kafka, topic, 1, b"control")
    reader = LogReader(kafka, topic, 0, "florin-test", bounded=True)
    reader.seek(0)
    transactional = TransactionalWriter(kafka, f"test-{how}")
    transactional.write([(topic, 0, None, b"transactional")], reader, 1, "note")
    sender = Sender(kafka, pytest.fail)
    sender.send(topic, b"load", None, 0)
    assert sender.flush(20) == 0
    read = [message for some in reader.until(reader.bounds()[1], 10) for message in some]
    assert values(read) == [b"control", b"transactional", b"load"]
    followed = list[Message]()
    eventually("all is followed", lambda: followed.extend(follower.poll(10, 0.2)) or len(followed) == 3)
    assert values(followed) == values(read)
    with GroupOffsets(kafka, topic, 1, "florin-test") as look:
        assert look.committed()[0].offset == 1
    for client in (follower, reader, transactional):
        client.close()


def values(messages: list[Message]) -> list[bytes]:
    return [message.value() or b"" for message in messages]


def wrong_settings(secure: SecureKafka) -> dict[str, tuple[str, str, str]]:
    """By what is wrong: the address, the settings, and what must be told."""
    other = Authority(secure.folder / "other")
    stranger, late = other.issue("stranger"), secure.authority.issue("late", expired=True)
    of_stranger = {"ssl.certificate.location": str(stranger.chain), "ssl.key.location": str(stranger.key)}
    of_late = {"ssl.certificate.location": str(late.chain), "ssl.key.location": str(late.key)}
    none = {"ssl.certificate.location": "", "ssl.key.location": ""}
    refused = r"did not take our certificate: .*missing, expired, or not signed.*ssl.certificate.location"
    return {
        "password": (
            secure.scram, secure.settings(**{"sasl.password": "another"}), r"sasl.password in .*properties.* is not"
        ),
        "mechanism": (
            secure.scram, secure.settings(**{"sasl.mechanism": "PLAIN"}),
            r"supported mechanisms: SCRAM-SHA-512.*look at sasl.mechanism",
        ),
        "authority": (
            secure.scram, secure.settings(**{"ssl.ca.location": str(other.ca)}),
            r"unable to get local issuer|self-signed certificate in.*ssl.ca.location in .*client.properties",
        ),
        "expired broker": (secure.expired, secure.mutual_settings(), r"refused \(certificate has expired\)"),
        "no certificate": (secure.mutual, secure.mutual_settings(**none), refused),
        "certificate of another authority": (secure.mutual, secure.mutual_settings(**of_stranger), refused),
        "expired certificate": (secure.mutual, secure.mutual_settings(**of_late), refused),
        "no TLS": (secure.scram, "", "if it wants TLS or a password, set security.protocol"),
        "TLS at a plain listener": (secure.plain, secure.mutual_settings(), "this listener does without TLS"),
        "missing file": (
            secure.scram, secure.settings(**{"ssl.ca.location": "/nowhere/ca.pem"}),
            r"client.properties:5: ssl.ca.location names /nowhere/ca.pem, which is not there",
        ),
        "key of another certificate": (
            secure.mutual, secure.mutual_settings(**{"ssl.key.location": str(stranger.key)}),
            r"refuses its settings: .*key values mismatch.*correct .*client.properties",
        ),
    }  # fmt: skip


def test_what_is_wrong_is_told_with_its_place_and_remedy(secure: SecureKafka, settings: SettingsFile) -> None:
    for what, (kafka, text, told) in wrong_settings(secure).items():
        settings(text)
        with pytest.raises(KafkaUnreachable) as caught:
            admin(kafka, timeout_s=2)
        caught.match(f"(?s){told}")
        assert "Remedy: " in str(caught.value), what
        assert PASSWORD not in str(caught.value), what


def test_a_shard_that_waits_for_kafka_says_what_is_wrong(
    secure: SecureKafka, settings: SettingsFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings(secure.settings(**{"sasl.password": "another"}))
    monkeypatch.setattr(writer, "_TIMEOUT_S", 2.0)
    with caplog.at_level(logging.ERROR), pytest.raises(KafkaException):
        TransactionalWriter(secure.scram, "shard")
    assert "sasl.password in" in caplog.text
    assert "another" not in caplog.text
