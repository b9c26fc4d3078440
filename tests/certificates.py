"""Certificates of a test's own authority, on loopback names, in the forms that servers and clients want."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

STORE_PASSWORD = "of the test"
HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """Files of one certificate: PEM of chain and key (PKCS #8), both in one file, and a PKCS #12 key store."""

    chain: Path
    key: Path
    both: Path
    store: Path


class Authority:
    """Signs what it is asked to. `ca` is its PEM file, `trust` the same as a PKCS #12 store."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.trust = folder / "trust.p12"
        root = pkcs12.PKCS12Certificate(load_pem_x509_certificate(self.ca.read_bytes()), b"ca")
        self.trust.write_bytes(
            pkcs12.serialize_java_truststore([root], BestAvailableEncryption(STORE_PASSWORD.encode()))
        )

    def issue(self, name: str, *hosts: str, expired: bool = False) -> Certificate:
        """A certificate for these hosts (default: loopback), of common name `name`; `expired` an hour ago."""
        ends = datetime.now(UTC) - timedelta(hours=1)
        issued = self._authority.issue_cert(
            *(hosts or HOSTS), common_name=name, not_after=ends if expired else None,
            not_before=ends - timedelta(days=1) if expired else None,
        )  # fmt: skip
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        chain = [load_pem_x509_certificate(blob.bytes()) for blob in issued.cert_chain_pems]
        made = Certificate(*(self._folder / f"{name}.{kind}" for kind in ("crt", "key", "pem", "p12")))
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain_text = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        made.chain.write_bytes(chain_text)
        made.both.write_bytes(plain + chain_text)
        made.store.write_bytes(
            pkcs12.serialize_key_and_certificates(
                name.encode(),
                key,
                chain[0],
                chain[1:],
                BestAvailableEncryption(STORE_PASSWORD.encode()),  # type: ignore[arg-type]
            )
        )
        made.key.touch(0o600)
        made.key.write_bytes(plain)
        return made
