"""JSON from strangers: bounded before it is parsed, unambiguous after.

1. Size and nesting are bounded before the parser sees the bytes, and no bytes take more than one
   pass: a message is read between two ticks.
2. No NaN, no infinity, no number beyond a float, no key twice, no text that cannot be encoded.
"""

import json
import math
import re
from collections import Counter
from typing import Final, NoReturn

from edgectl.contract.refusal import RefusalCode, refused

MAX_DEPTH: Final = 16
_INTEGER_CHARS: Final = 20
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what begins as one and never ends: the parser will stop there too."""


def read_object(payload: bytes, *, max_bytes: int, what: str) -> dict[str, object]:
    """Parse a JSON object or raise `Refused`."""
    if len(payload) > max_bytes:
        raise refused(
            RefusalCode.TOO_LARGE,
            f"{what} has {len(payload)} bytes, at most {max_bytes} are taken",
            "send less in one message",
        )
    if _depth(payload) > MAX_DEPTH:
        raise refused(
            RefusalCode.TOO_LARGE,
            f"{what} is nested deeper than {MAX_DEPTH} levels",
            "send a flatter message",
        )
    try:
        value: object = json.loads(
            payload.decode("utf-8"),
            parse_float=_finite,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_once,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError as fault:
        raise refused(
            RefusalCode.MALFORMED,
            f"{what} is not usable JSON: {fault}",
            "send one JSON object in UTF-8",
        ) from None
    if not isinstance(value, dict):
        raise refused(
            RefusalCode.MALFORMED, f"{what} is not a JSON object", "send one JSON object in UTF-8"
        )
    return value


def _depth(payload: bytes) -> int:
    depth = deepest = 0
    for byte in _STRING.sub(b"", payload):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > _INTEGER_CHARS:
        raise ValueError(f"number {text[:40]} is out of range")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice[:80]!r} stands twice")
    return made
