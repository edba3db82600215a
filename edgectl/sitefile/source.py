"""A YAML file as read: data that knows its lines, and how whatever is wrong becomes findings.

`read_source` and `parse_bytes` never raise for bad text; `findings_of` turns pydantic's errors into
ours.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgectl.errors import BadInput, Finding
from edgectl.sitefile.yaml_text import Where, parse, path_text

SIZE_MAX_BYTES: Final = 1 << 20

_SECRET_KEY: Final = re.compile(r"passw|passphrase|secret|token|credential|private", re.IGNORECASE)

_REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    # pydantic's type -> (our code, what to do)
    "missing": ("missing", "add it"),
    "string_type": ("wrong_type", "write text; put it in quotes if it looks like a number"),
    "int_type": ("wrong_type", "write a whole number without quotes"),
    "int_from_float": ("wrong_type", "write a whole number"),
    "float_type": ("wrong_type", "write a number without quotes or unit"),
    "bool_type": ("wrong_type", "write true or false"),
    "list_type": ("wrong_type", "write a list: [a, b], or one entry per line after a dash"),
    "dict_type": ("wrong_type", "write keys and values: {key: value}"),
    "model_type": ("wrong_type", "write keys and values: {key: value}"),
    "model_attributes_type": ("wrong_type", "write keys and values: {key: value}"),
    "finite_number": ("not_finite", "write a real number"),
    "greater_than": ("out_of_range", "write a greater number"),
    "greater_than_equal": ("out_of_range", "write a greater number"),
    "less_than": ("out_of_range", "write a smaller number"),
    "less_than_equal": ("out_of_range", "write a smaller number"),
    "too_short": ("wrong_length", "add what is missing"),
    "too_long": ("wrong_length", "remove what is too much"),
    "string_too_short": ("wrong_length", "write a name"),
    "string_too_long": ("wrong_length", "write a shorter one"),
    "string_pattern_mismatch": (
        "bad_text",
        "see the description of this key in `edgectl schema site`",
    ),
    "literal_error": ("not_allowed", "write one of these values"),
    "enum": ("not_allowed", "write one of these values"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file as read: plain data, the line of every path, and what is wrong so far."""

    file: str
    data: object
    lines: Mapping[Where, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    raw: bytes = b""

    def line(self, where: Where) -> int:
        """Line of the value at `where`, or of the nearest thing around it; 0: there is none."""
        for length in range(len(where), -1, -1):
            line = self.lines.get(where[:length])
            if line is not None:
                return line
        return 0

    def finding(self, where: Where, *, code: str, message: str, remedy: str) -> Finding:
        """Build a finding about the value at `where`."""
        return Finding(
            file=self.file,
            line=self.line(where),
            path=path_text(where),
            code=code,
            message=message,
            remedy=remedy,
        )


def read_source(path: Path) -> Source:
    """Read a YAML file; BadInput only where there is no text to look at."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        finding = Finding(
            file=str(path),
            line=0,
            path="",
            code="unreadable",
            message=f"the file cannot be read: {error.strerror or error}",
            remedy="check the path and the permissions",
        )
        raise BadInput([finding]) from error
    return parse_bytes(raw, file=str(path))


def parse_bytes(raw: bytes, *, file: str) -> Source:
    """Parse the bytes of a YAML file."""
    if len(raw) > SIZE_MAX_BYTES:
        return _unread(
            file,
            line=0,
            code="too_large",
            message=f"the file is larger than {SIZE_MAX_BYTES} bytes",
            remedy="a site of 1,000 chargers needs a quarter of that: look what else is in it",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _unread(
            file,
            line=raw.count(b"\n", 0, error.start) + 1,
            code="encoding",
            message=f"byte 0x{raw[error.start]:02x} is not UTF-8 text",
            remedy="save the file as UTF-8",
        )
    parsed = parse(text, file=file)
    return Source(
        file=file, data=parsed.data, lines=parsed.lines, findings=parsed.findings, raw=raw
    )


def findings_of(
    error: ValidationError,
    source: Source,
    *,
    model: type[BaseModel],
    prefix: Where = (),
    forms: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[Finding]:
    """Translate a validation error. `prefix`: where in the file the validated value stands.

    `forms`: what a text must be, and what to do, for a pattern of the model.

    A validator of ours that raises `PydanticCustomError(code, message, {"remedy": ...})` is passed
    on as is.
    """
    return [
        _finding_of(details, source, model=model, prefix=prefix, forms=forms)
        for details in error.errors(include_url=False)
    ]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean x?` for the nearest known word, else an empty text."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _unread(file: str, *, line: int, code: str, message: str, remedy: str) -> Source:
    finding = Finding(file=file, line=line, path="", code=code, message=message, remedy=remedy)
    return Source(file=file, data=None, findings=(finding,))


def _finding_of(
    details: ErrorDetails,
    source: Source,
    *,
    model: type[BaseModel],
    prefix: Where,
    forms: Mapping[str, tuple[str, str]],
) -> Finding:
    kind = details["type"]
    loc = details["loc"]
    where = _in_file(loc, source, prefix, leaf_absent=kind == "missing")
    context = details.get("ctx", {})
    if "remedy" in context:
        return source.finding(
            where, code=kind, message=details["msg"], remedy=str(context["remedy"])
        )
    if kind == "extra_forbidden":
        return _unknown_key(source, where, known=_keys_at(model, loc[:-1]))
    code, remedy = _REMEDIES.get(kind, ("bad_value", "see the description in `edgectl schema`"))
    if kind == "missing":
        message = f"is missing: {loc[-1]}"
    elif kind == "string_pattern_mismatch":
        form, remedy = forms.get(str(context.get("pattern")), ("of the form asked for", remedy))
        message = f"{_shown(details['input'])} is not {form}"
    elif kind in {"too_short", "too_long"}:
        bound = context.get("min_length" if kind == "too_short" else "max_length")
        word = "least" if kind == "too_short" else "most"
        message = f"has {context.get('actual_length')} values, needs at {word} {bound}"
    else:
        message = _sentence(details)
    return source.finding(where, code=code, message=message, remedy=remedy)


def _unknown_key(source: Source, where: Where, *, known: tuple[str, ...]) -> Finding:
    name = str(where[-1])
    if _SECRET_KEY.search(name):
        return source.finding(
            where,
            code="secret_inline",
            message=f"{name}: secrets never stand in this file",
            remedy="remove it; keep it in a file that only the service may read, or in a systemd "
            "credential",
        )
    near = did_you_mean(name, known)
    allowed = f"known here: {', '.join(known)}" if known else "remove it"
    return source.finding(
        where, code="unknown_key", message=f"{name} is not a known key{near}", remedy=allowed
    )


def _in_file(
    loc: tuple[int | str, ...], source: Source, prefix: Where, *, leaf_absent: bool
) -> Where:
    """Drop the steps that pydantic adds to a path and that do not stand in the file."""
    where: list[str | int] = list(prefix)
    value = _value_at(source.data, prefix)
    for position, step in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(value, dict):
            key = _key_in(value, step)
            if key is None:
                if last and leaf_absent:
                    where.append(step)
                continue
            where.append(key)
            value = value[key]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            where.append(step)
            value = value[step]
    return tuple(where)


def _value_at(value: object, where: Where) -> object:
    for step in where:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
    return value


def _key_in(mapping: dict[str | int, object], step: int | str) -> str | int | None:
    """Return the key of the file behind a step: pydantic shows whole-number keys as text."""
    if step in mapping:
        return step
    return next((key for key in mapping if str(key) == str(step)), None)


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Names of the keys that the model knows at a path."""
    here: object = model
    for step in loc:
        fields = _fields(here)
        if fields:
            here = next((kind for name, kind in fields if name == step), None)
        elif isinstance(step, int):
            here = _inner(here)
        else:
            here = _inner(here)
    return tuple(name for name, _ in _fields(here))


def _fields(kind: object) -> list[tuple[str, object]]:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return [
                (info.alias or name, info.annotation) for name, info in option.model_fields.items()
            ]
    return []


def _inner(kind: object) -> object:
    """Return what a list or mapping holds."""
    for option in _options(kind):
        arguments = get_args(option)
        if arguments:
            return arguments[-1] if get_origin(option) is not tuple else arguments[0]
    return None


def _options(kind: object) -> list[object]:
    """Unfold unions: `X | None` may be X."""
    origin = get_origin(kind)
    if origin is not None and (origin is Union or getattr(origin, "__name__", "") == "UnionType"):
        return [option for part in get_args(kind) for option in _options(part)]
    return [kind]


def _sentence(details: ErrorDetails) -> str:
    """Say pydantic's message in our own manner, with the value that was found."""
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if details["type"].startswith("model"):
        message = "should be keys and values"
    found = details["input"]
    return message if isinstance(found, dict | list) else f"{message}, not {_shown(found)}"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
