"""The audit of dependencies: what it asks for; it never passes for another reason than that nothing is known."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.audit_dependencies import Dependency, dependencies, main

pytestmark = pytest.mark.unit
Database = Callable[[list[Any]], Any]
ADVISORY = {
    "id": "GHSA-1", "aliases": ["CVE-1"], "summary": "It explodes.",
    "affected": [{"ranges": [{"events": [{"introduced": "0"}, {"fixed": "9.9"}]}]}],
}  # fmt: skip


@pytest.fixture
def audit() -> Iterator[Callable[[Database], Result]]:
    """Runs the command against a server that stands for the database."""
    answers: list[Database] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            self._tell(answers[0](asked))

        def do_GET(self) -> None:
            self._tell(ADVISORY)

        def _tell(self, told: Any) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Not among the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def run(database: Database) -> Result:
        answers[:] = [database]
        return CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{server.server_port}"])

    try:
        yield run
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_is_locked_and_installed_is_asked_for() -> None:
    found = dependencies()
    assert {"PyPI", "Maven"} == {one.ecosystem for one in found}
    assert Dependency("PyPI", "apache-beam", "2.70.0") in found
    assert any(one.name == "org.apache.kafka:kafka-clients" for one in found)
    assert len(found) > 150


def test_nothing_known_is_told_with_the_number_that_was_asked(audit: Callable[[Database], Result]) -> None:
    done = audit(lambda asked: {"results": [{} for _ in asked]})
    assert done.exit_code == 0
    assert f"0 known vulnerabilities in 0 of {len(dependencies())} dependencies" in done.output


def test_an_advisory_is_told_with_its_fix_and_fails(audit: Callable[[Database], Result]) -> None:
    def beam(one: Any) -> Any:
        return {"vulns": [{"id": "GHSA-1"}]} if one["package"]["name"] == "apache-beam" else {}

    done = audit(lambda asked: {"results": list(map(beam, asked))})
    assert done.exit_code == 1
    assert "apache-beam 2.70.0 (PyPI): GHSA-1 (CVE-1) It explodes. fixed in: 9.9" in done.output


def test_an_answer_that_lacks_some_is_no_pass(audit: Callable[[Database], Result]) -> None:
    assert audit(lambda asked: {"results": [{}]}).exit_code == 2
    assert audit(lambda asked: []).exit_code == 2


def test_without_the_database_it_says_that_nothing_was_checked() -> None:
    done = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1"])
    assert done.exit_code == 0
    assert "SKIPPED, nothing was checked: http://127.0.0.1:1 cannot be reached" in done.output
