"""Why a server's certificate is not taken: clients written in C say only that it is not."""

from __future__ import annotations

import socket
import ssl

_TIMEOUT_S = 5.0
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def why_not_verified(
    host: str, port: int, cafile: str | None, *, check_host: bool = True, postgres: bool = False
) -> str:
    """What is wrong with the certificate of the server there, in OpenSSL's words; empty if nothing is found.

    `cafile` is a PEM file of authorities, None for the system's; `postgres` asks as PostgreSQL's clients do.
    """
    try:
        context = ssl.create_default_context(cafile=cafile)
        context.check_hostname = check_host
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            if postgres:
                connection.sendall(_SSL_REQUEST)
                if connection.recv(1) != b"S":
                    return "the server does without TLS"
            context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"the server's certificate is refused ({error.verify_message.rstrip('.')})"
    except (OSError, ValueError):
        return ""
    return ""
