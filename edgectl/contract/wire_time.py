"""Times on the wire: RFC 3339 in UTC outside, seconds since 1970 inside."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

_LATEST_S: Final = 253_402_214_400.0


def utc_from_text(text: object) -> float:
    """Seconds since 1970 of an RFC 3339 time with its offset; raises ValueError."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with offset, such as 2026-11-24T16:30:00Z")
    try:
        utc_s = datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("is no date and time of the calendar") from None
    if not 0.0 <= utc_s <= _LATEST_S:
        raise ValueError("must lie between the years 1970 and 9999")
    return utc_s


WireTime = Annotated[
    float,
    BeforeValidator(utc_from_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
