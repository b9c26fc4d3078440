"""Flink's REST behind TLS: with a certificate of ours, or a token for the proxy before it; what is told of errors."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from flink import children, submit
from flink.config import StackConfig, write_files
from flink.errors import StackError
from flink.processes import LOOPBACK, Ident, is_free
from flink.rest import FlinkError, FlinkRest
from flink.rest_security import CA, CERT, CIPHERS, KEY, TOKEN, TOKEN_FILE
from tests.certificates import STORE_PASSWORD, Authority, Certificate
from tests.conftest import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]
BEARER = "s3cret-of-the-test"


class SecureFlink:
    """A JobManager whose REST asks for a certificate, and a proxy before it that asks for a token."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "certificates")
        self.client = self.authority.issue("client")
        web, rpc, proxy = islice((port for port in range(20_500, 20_900) if is_free(port)), 3)
        self._config = StackConfig(str(folder / "home"), flink=web, jobmanager=rpc, taskmanagers=0)
        self._proxy_port = proxy
        self.direct, self.proxied = f"https://localhost:{web}", f"https://localhost:{proxy}"

    def verified(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        context.load_cert_chain(self.client.chain, self.client.key)
        return context

    @contextmanager
    def running(self) -> Iterator[None]:
        write_files(self._config)
        server = self.authority.issue("flink")
        told = {
            "enabled": "true", "authentication-enabled": "true", "keystore": server.store, "keystore-type": "PKCS12",
            "keystore-password": STORE_PASSWORD, "key-password": STORE_PASSWORD, "truststore": self.authority.trust,
            "truststore-type": "PKCS12", "truststore-password": STORE_PASSWORD,
        }  # fmt: skip
        with (self._config.folder / "conf" / "config.yaml").open("a") as file:
            file.writelines(f'security.ssl.rest.{name}: "{value}"\n' for name, value in told.items())
            file.write(f'security.ssl.algorithms: "{CIPHERS}"\n')
        child = children.jobmanager(self._config)
        child.command += ["-D", "high-availability.type=NONE"]  # no ZooKeeper runs here
        running = children.start(self._config, child)
        try:
            eventually("Flink answers", self._answers)
            with served(Proxy(self), self._proxy_port, server):
                yield
        finally:
            ident = Ident.of(running.pid)
            if ident:
                ident.stop(10)
            running.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.direct}/overview", verify=self.verified(), trust_env=False).is_success
        except httpx.HTTPError:
            return False


class Proxy:
    """Passes requests with the token on."""

    def __init__(self, flink: SecureFlink) -> None:
        self._client = httpx.Client(base_url=flink.direct, verify=flink.verified(), trust_env=False)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        if headers.get("Authorization") != f"Bearer {BEARER}":
            return 401, b""
        if path == "/login":
            return 200, b"<html>"
        kept = {"Content-Type": headers["Content-Type"]} if headers.get("Content-Type") else {}
        found = self._client.request(method, path, headers=kept, content=body)
        return found.status_code, found.content


@contextmanager
def served(proxy: Proxy, port: int, certificate: Certificate) -> Iterator[None]:
    """The proxy over TLS while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = proxy.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _pass

        def log_message(self, format: str, *args: object) -> None:
            """Not among the test's output."""

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureFlink]:
    made = SecureFlink(tmp_path_factory.mktemp("secure-flink"))
    with made.running():
        yield made


@pytest.fixture(autouse=True)
def environment(secure: SecureFlink, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (CERT, KEY, TOKEN, TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CA, str(secure.authority.ca))
    return monkeypatch


def use(environment: pytest.MonkeyPatch, certificate: Certificate) -> None:
    environment.setenv(CERT, str(certificate.chain))
    environment.setenv(KEY, str(certificate.key))


def check_requests(address: str) -> None:
    """A question, a job's jar up and away again, and the cluster as commands find it."""
    with FlinkRest(address) as rest:
        assert rest.jobs() == []
        jar = {"jarfile": ("x.jar", bytes(300_000), "application/java-archive")}
        name = Path(rest.request("POST", "/jars/upload", files=jar)["filename"]).name
        assert [file["id"] for file in rest.get("/jars")["files"]] == [name]
        rest.request("DELETE", f"/jars/{name}")
        assert rest.get("/jars")["files"] == []
    assert submit.find_cluster(address).version.startswith("1.20")


def test_a_certificate_lets_us_in(secure: SecureFlink, environment: pytest.MonkeyPatch) -> None:
    use(environment, secure.client)
    check_requests(secure.direct)


@pytest.mark.parametrize("source", [TOKEN, TOKEN_FILE])
def test_a_token_lets_us_through_the_proxy(
    secure: SecureFlink, environment: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    (tmp_path / "token").write_text(f"{BEARER}\n")
    environment.setenv(source, BEARER if source == TOKEN else str(tmp_path / "token"))
    check_requests(secure.proxied)


def test_what_is_wrong_is_told_with_its_place_and_remedy(
    secure: SecureFlink, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    stranger, late = other.issue("stranger"), secure.authority.issue("late", expired=True)
    refused = f"ALERT.*Remedy: a certificate that the server takes in {CERT} and {KEY}"
    for address, changed, told in (
        (secure.direct, {}, refused),
        (secure.direct, {CERT: str(stranger.chain), KEY: str(stranger.key)}, refused),
        (secure.direct, {CERT: str(late.chain), KEY: str(late.key)}, refused),
        (secure.direct, {CA: str(other.ca)}, rf"certificate verify failed.*authority that signed.*{CA} \({other.ca}"),
        (secure.direct.replace("https", "http"), {}, "may want TLS: an address with https://"),
        (secure.proxied, {}, f"lets nobody in without leave .*HTTP 401.*valid token in {TOKEN_FILE}"),
        (secure.proxied, {TOKEN: "another"}, f"HTTP 401.*valid token in {TOKEN_FILE}"),
    ):
        with environment.context() as patch:
            for name, value in changed.items():
                patch.setenv(name, value)
            with pytest.raises(StackError, match=f"(?s){told}") as caught:
                submit.find_cluster(address)
            assert "another" not in str(caught.value)


def test_an_expired_certificate_of_the_server_is_named(secure: SecureFlink) -> None:
    late = secure.authority.issue("late-proxy", expired=True)
    port = next(port for port in range(20_900, 21_000) if is_free(port))
    with served(Proxy(secure), port, late), pytest.raises(FlinkError, match=r"certificate has expired.*\n.*" + CA):
        FlinkRest(f"https://localhost:{port}").overview()


def test_a_page_that_is_not_flinks_is_no_traceback(secure: SecureFlink, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(TOKEN, BEARER)
    with FlinkRest(secure.proxied) as rest, pytest.raises(FlinkError, match="is no Flink"):
        rest.get("/login")


@pytest.mark.parametrize("name", [CA, CERT, TOKEN_FILE])
def test_a_missing_file_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "/nowhere/x.pem")
    with pytest.raises(StackError, match=f"{name} names /nowhere/x.pem.*\n?.*Remedy: "):
        FlinkRest("https://localhost:1")


def test_a_key_of_another_certificate_is_refused(
    secure: SecureFlink, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(environment, secure.client)
    environment.setenv(KEY, str(Authority(tmp_path).issue("x").key))
    with pytest.raises(StackError, match=f"{CERT} .* and {KEY} .* do not fit together"):
        FlinkRest("https://localhost:1")


def test_a_token_never_goes_over_a_connection_without_tls(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(TOKEN, BEARER)
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"jobs": []}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Not among the test's output."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with FlinkRest(f"http://{LOOPBACK}:{server.server_port}") as rest:
        assert rest.jobs() == []
    thread.join()
    server.server_close()
    assert len(seen) == 1
    assert BEARER not in str(seen)
