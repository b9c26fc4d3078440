"""The lock of jars, and fetching what it lists."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from flink import jars
from flink.errors import StackError
from flink.jars import Jar, LockError

pytestmark = pytest.mark.unit
CONTENT = {"a/b/1/b-1.jar": b"first jar", "a/c/2/c-2.jar": b"second jar" * 5000}


class Repository(BaseHTTPRequestHandler):
    """A Maven repository whose first answer to each path is an error."""

    seen: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        path = self.path.removeprefix("/maven/")
        first = path not in self.seen
        self.seen.add(path)
        body = CONTENT.get(path, b"")
        self.send_response(503 if first else 200 if body else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Repository.seen = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/maven"
    monkeypatch.setenv("FLORIN_MAVEN", url + "/")
    monkeypatch.setenv("FLORIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jars._download.retry, "wait", lambda _: 0)
    yield url
    server.shutdown()


def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: list[Jar]) -> None:
    file = tmp_path / "jars.lock"
    file.write_text(jars.format_lock(entries))
    monkeypatch.setattr(jars, "LOCK_FILE", file)


def jar(path: str) -> Jar:
    return Jar("beam", path, hashlib.sha256(CONTENT.get(path, b"")).hexdigest())


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_lock_reads_back_as_it_was_written_and_sorted() -> None:
    entries = [Jar("kafka", "o/k/k/3.9.1/k-3.9.1.jar", "b" * 64), Jar("beam", "o/b/b/1/b-1.jar", "a" * 64)]
    assert jars.parse_lock(jars.format_lock(entries)) == sorted(entries)


def test_coordinates_follow_from_the_path() -> None:
    found = Jar("kafka", "org/apache/kafka/kafka-clients/3.9.1/kafka-clients-3.9.1.jar", "0" * 64)
    assert found.coordinates == "org.apache.kafka:kafka-clients:3.9.1"


@pytest.mark.parametrize(
    "line", ["beam abc x.jar", f"beam {'a' * 64}", f"beam {'a' * 64} ../x.jar", f"b {'a' * 64} x.zip"]
)
def test_a_damaged_line_is_named(line: str) -> None:
    with pytest.raises(LockError, match="line 2: expected 'set sha256 path.jar'"):
        jars.parse_lock(f"# head\n{line}\n")


def test_the_lock_in_the_repository_holds_beam_and_kafka_and_nothing_of_flink() -> None:
    entries = jars.locked()
    assert {entry.set for entry in entries} == {"beam", "kafka"}
    assert any(entry.coordinates == "org.apache.beam:beam-runners-flink-1.19:2.70.0" for entry in entries)
    assert any(entry.coordinates == "org.apache.kafka:kafka_2.13:3.9.1" for entry in entries)
    assert not [entry.path for entry in entries if entry.path.startswith("org/apache/flink/")]
    assert entries == sorted(entries)


def test_sets_are_fetched_by_name_and_one_that_is_not_there_is_refused() -> None:
    assert {entry.set for entry in jars.locked(["beam"])} == {"beam"}
    with pytest.raises(LockError, match="no set baem, but beam, kafka"):
        jars.locked(["beam", "baem"])


def test_fetches_what_lacks_and_tries_again_after_an_error(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file(tmp_path, monkeypatch, [jar(path) for path in CONTENT])
    assert jars.fetch(quiet()) == 2
    assert {path: jars.file_of(jar(path)).read_bytes() for path in CONTENT} == CONTENT
    assert jars.fetch(quiet()) == 0


def test_a_wrong_checksum_leaves_no_file(repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Jar("beam", "a/b/1/b-1.jar", "0" * 64)
    lock_file(tmp_path, monkeypatch, [wrong])
    with pytest.raises(StackError, match="a:b:1: sha256 .* instead of 0000"):
        jars.fetch(quiet())
    assert not list((tmp_path / "cache").rglob("*.jar*"))


def test_a_jar_the_mirror_lacks_is_named(repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_file(tmp_path, monkeypatch, [jar("a/d/9/d-9.jar")])
    with pytest.raises(StackError, match="a:d:9: HTTP 404 from .*FLORIN_MAVEN"):
        jars.fetch(quiet())


def test_no_network_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_file(tmp_path, monkeypatch, [jar("a/b/1/b-1.jar")])
    monkeypatch.setenv("FLORIN_MAVEN", "http://127.0.0.1:9")
    monkeypatch.setenv("FLORIN_CACHE", str(tmp_path))
    monkeypatch.setattr(jars._download.retry, "wait", lambda _: 0)
    with pytest.raises(StackError, match="Cannot fetch a:b:1 from http://127.0.0.1:9.*\n.*FLORIN_MAVEN"):
        jars.fetch(quiet())
