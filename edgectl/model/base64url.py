"""Bytes as text in base64url without padding, as keys and signatures come (RFC 7515 2)."""

import base64
import binascii
import re
from typing import Final

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*")


def bytes_of(text: str) -> bytes:
    """Read it in its one canonical form; raises ValueError."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("is not base64url")
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("is not base64url") from None
    if text_of(value) != text:
        raise ValueError("is not in the canonical form of base64url")
    return value


def text_of(value: bytes) -> str:
    """Write it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
