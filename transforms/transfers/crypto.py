"""ILP conditions and fulfilments: base64url of 32 bytes, the condition being SHA-256 of the fulfilment's bytes."""

from __future__ import annotations

import binascii
from hashlib import sha256

_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL = bytes.maketrans(b"+/", b"-_")


def decode_32(text: str | None) -> bytes | None:
    """The 32 bytes of 43 characters of base64url without padding; None for anything else."""
    if text is None or len(text) != 43 or not text.isascii():
        return None
    try:
        return binascii.a2b_base64(text.encode().translate(_TO_BASE64) + b"=", strict_mode=True)
    except binascii.Error:
        return None


def encode_32(data: bytes) -> str:
    """base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def condition_of(fulfilment: bytes) -> bytes:
    """The condition a fulfilment meets."""
    return sha256(fulfilment).digest()
