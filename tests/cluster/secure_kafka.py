"""A real Kafka with TLS listeners: SASL_SSL with SCRAM-SHA-512, SSL with client certificates, one that expired."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from flink import children
from flink.children import Child
from flink.config import StackConfig, write_files
from flink.processes import LOOPBACK, Ident, is_free
from tests.certificates import Authority
from tests.conftest import eventually

USER, PASSWORD = "florin", "s3cret-of-the-test"


class SecureKafka:
    """Addresses by listener, the authority that signed its certificates, and what a client needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "certificates")
        self.client = self.authority.issue("florin-client")
        ports = islice((port for port in range(22_000, 23_000) if is_free(port)), 5)
        self._port, self._controller, *secure = ports
        self.plain, self.scram, self.mutual, self.expired = (f"localhost:{port}" for port in (self._port, *secure))

    def settings(self, **changed: str) -> str:
        """A properties file for SASL_SSL; names with _ for dots."""
        told = {
            "security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER,
            "sasl.password": PASSWORD, "ssl.ca.location": str(self.authority.ca),
        }  # fmt: skip
        return _properties(told | changed)

    def mutual_settings(self, **changed: str) -> str:
        """A properties file for SSL with a client certificate."""
        told = {
            "security.protocol": "ssl", "ssl.ca.location": str(self.authority.ca),
            "ssl.certificate.location": str(self.client.chain), "ssl.key.location": str(self.client.key),
        }  # fmt: skip
        return _properties(told | changed)

    def _server_properties(self) -> str:
        server, expired = self.authority.issue("kafka"), self.authority.issue("kafka-expired", expired=True)
        names = {"PLAINTEXT": self.plain, "SCRAM": self.scram, "MUTUAL": self.mutual, "EXPIRED": self.expired}
        at = ",".join(f"{name}://{LOOPBACK}:{place.rpartition(':')[2]}" for name, place in names.items())
        told = {
            "listeners": f"{at},CONTROLLER://{LOOPBACK}:{self._controller}",
            "advertised.listeners": at.replace(LOOPBACK, "localhost"),
            "listener.security.protocol.map":
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL,EXPIRED:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.ca,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": server.both,
            "listener.name.expired.ssl.keystore.type": "PEM",
            "listener.name.expired.ssl.keystore.location": expired.both,
        }  # fmt: skip
        return "".join(f"{name}={value}\n" for name, value in told.items())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started, with the user of SCRAM, and stopped."""
        config = StackConfig(
            str(self.folder / "home"), kafka=self._port, controller=self._controller, kafka_heap_mb=384
        )
        write_files(config)
        properties = config.folder / "conf" / "server.properties"
        # Of two lines of one name the later counts.
        properties.write_text(properties.read_text() + self._server_properties())
        child = children.kafka(config, f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
        running = children.start(config, Child("kafka", child.command, env=child.env))
        try:
            log = config.folder / "logs" / "kafka.log"
            eventually("Kafka is up", lambda: "Kafka Server started" in _text(log))
            yield
        finally:
            ident = Ident.of(running.pid)
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                if ident:
                    ident.stop(5)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _properties(told: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in told.items() if value)
