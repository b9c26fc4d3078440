"""The user's librdkafka settings, from one file for all our clients: TLS, SASL, and where their secrets are."""

from __future__ import annotations

import os
import re
from pathlib import Path

CONFIG_FILE = "FLORIN_KAFKA_CONFIG"
"""Environment variable with the path of a properties file of librdkafka settings.

A value may be `${env:NAME}` or `${file:PATH}`: then it is that variable's, or that file's without line ends.
"""

_ELSEWHERE = re.compile(r"\$\{(env|file):([^}]+)\}")
_FILES = (
    "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location",
    "sasl.kerberos.keytab",
)  # fmt: skip
_OF_JAVA = {
    "sasl.jaas.config": "sasl.username and sasl.password",
    "ssl.truststore.location": "ssl.ca.location, a PEM file",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.truststore.password": "ssl.ca.location, a PEM file, which has no password",
    "ssl.truststore.type": "ssl.ca.location, a PEM file",
    "ssl.keystore.type": "ssl.certificate.location and ssl.key.location, PEM files",
}


class KafkaUnreachable(ConnectionError):
    """No broker can be reached at the address with these settings; the message names place and remedy."""


class KafkaSettingsError(KafkaUnreachable):
    """Settings that no client can be made with; the message names file, line and remedy."""


def place() -> str:
    """The file of settings as errors name it."""
    path = os.environ.get(CONFIG_FILE)
    return f"{path} ({CONFIG_FILE})" if path else f"the file that {CONFIG_FILE} names (it names none)"


def user_settings() -> dict[str, str]:
    """The settings of the user's file, secrets filled in; none without a file. Raises KafkaSettingsError."""
    path = os.environ.get(CONFIG_FILE)
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KafkaSettingsError(
            f"Kafka's settings cannot be read: {CONFIG_FILE} names {path} ({error}). Remedy: make the file, readable "
            "for this user and on every machine that runs workers, or unset the variable"
        ) from error
    found = dict[str, str]()
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _setting(f"{path}:{number}", line.strip())
            found[name] = value
    return found


def _setting(where: str, line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals or not name:
        raise KafkaSettingsError(f"{where}: expected name=value. Remedy: one setting of librdkafka a line")
    if name in _OF_JAVA:
        raise KafkaSettingsError(f"{where}: {name} is a setting of Java clients. Remedy: {_OF_JAVA[name]}")
    if name == "bootstrap.servers":
        raise KafkaSettingsError(f"{where}: the address is no part of these settings. Remedy: --kafka or FLORIN_KAFKA")
    value = _ELSEWHERE.sub(lambda found: _elsewhere(where, name, *found.groups()), value)
    if name in _FILES and not os.access(value, os.R_OK):
        raise KafkaSettingsError(
            f"{where}: {name} names {value}, which is not there or not readable. Remedy: put the file there, for this "
            "user and on every machine that runs workers"
        )
    return name, value


def _elsewhere(where: str, name: str, kind: str, source: str) -> str:
    if kind == "env":
        value = os.environ.get(source)
        if value is None:
            raise KafkaSettingsError(f"{where}: {name} is to come from the variable {source}, which is not set")
        return value
    try:
        return Path(source).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KafkaSettingsError(f"{where}: {name} is to come from a file that cannot be read ({error})") from error
