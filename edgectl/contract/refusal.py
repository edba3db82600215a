"""The refusal codes of everything remote, and how a wrong payload becomes one."""

from enum import StrEnum
from typing import Final

from pydantic import ValidationError

from edgectl.errors import Refused

_SHOWN: Final = 5
_MESSAGE_CHARS: Final = 600


class RefusalCode(StrEnum):
    """Why an event or a command is not taken. Members may be added, never renamed."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNKNOWN_TARGET = "unknown_target"
    UNKNOWN_PROGRAM = "unknown_program"
    UNKNOWN_ISSUER = "unknown_issuer"
    NOT_PERMITTED = "not_permitted"
    BAD_SIGNATURE = "bad_signature"
    UNSIGNED = "unsigned"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REPLAYED = "replayed"
    STALE = "stale"
    RETAINED = "retained"
    CLOCK_UNTRUSTED = "clock_untrusted"
    WOULD_WIDEN = "would_widen"
    NOT_SUPPORTED = "not_supported"
    TOO_MANY = "too_many"
    NOT_STORED = "not_stored"
    VEHICLES_FIRST = "vehicles_first"
    LIFTED = "lifted"
    WATCHED_ONLY = "watched_only"


def refused(code: RefusalCode, message: str, remedy: str) -> Refused:
    """Make a refusal; long foreign text is cut."""
    return Refused(code=code.value, message=message[:_MESSAGE_CHARS], remedy=remedy)


def malformed(error: ValidationError, *, what: str) -> Refused:
    """Name every wrong field of a payload that a model would not take."""
    faults = error.errors(include_url=False, include_input=False)
    for fault in faults:
        # pydantic keeps what a validator raised where no garbage collector looks, and its traceback
        # would keep every frame from there up, and whoever reads the payload, for good.
        raised = fault.get("ctx", {}).get("error")
        if isinstance(raised, BaseException):
            raised.__traceback__ = raised.__context__ = None
    shown = [f"{_path(fault['loc'])}: {fault['msg']}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        shown.append(f"and {len(faults) - _SHOWN} more")
    return refused(
        RefusalCode.MALFORMED,
        f"{what} is malformed: " + "; ".join(shown),
        "correct the named fields and send it again",
    )


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"
