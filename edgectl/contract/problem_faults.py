"""What is wrong with an allocation problem: element, place, fault and remedy."""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ValidationError


class ErrorCode(StrEnum):
    """Why a problem has no answer."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    BAD_VALUE = "bad_value"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_NODE = "unknown_node"
    CYCLE = "cycle"
    EMPTY_PHASES = "empty_phases"
    NOT_SUPPORTED = "not_supported"


class WrongProblem(Exception):
    """A problem that cannot be used. `element`: the id of the node or EVSE, or the way to it."""

    def __init__(self, code: ErrorCode, element: str | None, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.element = element
        self.message = message
        self.remedy = remedy


_CODES: Final = {
    "missing": ErrorCode.MISSING_FIELD,
    "extra_forbidden": ErrorCode.UNKNOWN_FIELD,
    "finite_number": ErrorCode.NOT_FINITE,
    "greater_than": ErrorCode.OUT_OF_RANGE,
    "greater_than_equal": ErrorCode.OUT_OF_RANGE,
    "less_than_equal": ErrorCode.OUT_OF_RANGE,
}

_SAID: Final = {
    "missing": ("it is missing", "add it"),
    "finite_number": (
        "it is no finite number",
        "write a finite number; leave a ceiling out, or write null, where there is none",
    ),
    "greater_than": ("it must be above {gt:g}", "write a greater number"),
    "greater_than_equal": ("it must be at least {ge:g}", "write a greater number"),
    "less_than_equal": ("it must be at most {le:g}", "write a smaller number"),
    "float_type": ("it must be a number", "write a number, without quotes"),
    "int_type": ("it must be a whole number", "write a whole number, without quotes"),
    "string_type": ("it must be a text", "write a text in quotes"),
    "string_too_short": ("it must not be empty", "give it a name"),
    "string_unicode": ("it is no text that can be encoded", "write a text in Unicode"),
    "literal_error": ("it must be {expected}", "write {expected}"),
    "list_type": ("it must be a list", "write a list in square brackets"),
    "too_short": ("it has {actual_length} values", "write at least {min_length}"),
    "too_long": ("it has {actual_length} values or more", "write at most {max_length}"),
    "model_type": ("it must be an object", "write an object in curly brackets"),
}


def first_fault(
    raw: object, fault: ValidationError, kinds: Mapping[str, type[BaseModel]]
) -> WrongProblem:
    """Say the first fault; `kinds`: the shape of what stands under a key, "" that of the whole."""
    faults = fault.errors(include_url=False)
    # A key that is written wrongly is two faults: the one that is there is said.
    first = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    way = [part for part in first["loc"] if isinstance(part, int) or not _is_branch(part)]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way)[1:]
    element: str | None = path or None
    if len(way) >= 2 and isinstance(raw, dict):
        value = raw[way[0]][way[1]]
        element = f"{way[0]}[{way[1]}]"
        if isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"]:
            element = value["id"]
    code = _CODES.get(first["type"], ErrorCode.BAD_VALUE)
    if not way:
        code = ErrorCode.MALFORMED
    if first["type"] == "extra_forbidden":
        message, remedy = _unknown(way, kinds)
    elif first["type"] in _SAID:
        context: dict[str, Any] = first.get("ctx", {})
        said, to_do = _SAID[first["type"]]
        message, remedy = said.format(**context), to_do.format(**context)
    else:
        message, remedy = first["msg"], "correct it"
    return WrongProblem(code, element, f"{path}: {message}" if path else message, remedy)


def _unknown(way: list[int | str], kinds: Mapping[str, type[BaseModel]]) -> tuple[str, str]:
    """What to say of a key that does not exist: the nearest that does, or all of them."""
    keys = [part for part in way[:-1] if isinstance(part, str)]
    names = list(kinds[keys[-1] if keys else ""].model_fields)
    near = get_close_matches(str(way[-1]), names, n=1)
    return (
        "there is no such key",
        f"write {near[0]}, or remove it" if near else f"remove it; there are {', '.join(names)}",
    )


def _is_branch(part: str) -> bool:
    """Whether a part of a way is only the name that pydantic gives to an alternative of a union."""
    return part in {"[number]", "[list]"}
