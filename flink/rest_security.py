"""How Flink's REST is reached over TLS: whom to trust, with which certificate, with which token for a proxy before it.

The environment names all of it, for options are visible to others; it counts for addresses with https only.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

from flink.errors import StackError

CA, CERT, KEY = "FLORIN_FLINK_CA", "FLORIN_FLINK_CERT", "FLORIN_FLINK_KEY"
"""Variables with paths of PEM files: authorities to trust (default: the system's), our certificate, its key."""
TOKEN, TOKEN_FILE = "FLORIN_FLINK_TOKEN", "FLORIN_FLINK_TOKEN_FILE"
"""Variables with a bearer token, or with the path of a file that holds one."""
CIPHERS = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
"""For Flink's `security.ssl.algorithms`: its default is a cipher that OpenSSL refuses by now."""


def client_settings(url: str) -> dict[str, Any]:
    """What an HTTP client of that address is made with. Raises StackError for files that cannot be used."""
    if not url.startswith("https://"):
        return {}
    token = _token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"verify": _context(), "headers": headers}


def _context() -> ssl.SSLContext:
    paths = {name: os.environ.get(name) for name in (CA, CERT, KEY)}
    for name, path in paths.items():
        if path and not os.access(path, os.R_OK):
            raise StackError(f"{name} names {path}, which is not there or not readable.\nRemedy: a PEM file there")
    try:
        context = ssl.create_default_context(cafile=paths[CA])
    except ssl.SSLError as error:
        raise StackError(f"{CA}: {paths[CA]} holds no certificates ({error}).\nRemedy: a PEM file") from error
    if certificate := paths[CERT]:
        try:
            context.load_cert_chain(certificate, paths[KEY], password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise StackError(
                f"{CERT} ({certificate}) and {KEY} ({paths[KEY]}) do not fit together ({error}).\n"
                "Remedy: a certificate and its own key, not encrypted, as PEM files"
            ) from error
    return context


def _no_password() -> str:
    """Instead of asking on the terminal."""
    raise ValueError("the key is encrypted")


def _token() -> str:
    path = os.environ.get(TOKEN_FILE)
    if not path:
        return os.environ.get(TOKEN, "").strip()
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(
            f"{TOKEN_FILE} names {path}, which cannot be read ({error}).\nRemedy: the token there"
        ) from error


def remedy(said: str) -> str:
    """What to do about what an HTTP client said."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        trusted = os.environ.get(CA) or "not set: those of the system"
        return f"the authority that signed the server's certificate in {CA} ({trusted})"
    if "HANDSHAKE_FAILURE" in said:
        return f"ciphers of today for Flink: security.ssl.algorithms: {CIPHERS}"
    if "ALERT" in said:
        return f"a certificate that the server takes in {CERT} and {KEY} ({os.environ.get(CERT) or 'none is set'})"
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER" in said:
        return "this server does without TLS: an address with http://"
    return "start one with `python -m flink up`, or name yours with --flink_master or FLORIN_FLINK"
