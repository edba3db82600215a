"""YAML text into plain data and the line of every path, with everything wrong in it as findings.

1. The text is YAML 1.2 core: null, true/false, numbers, text. `16:00`, `on` and `2026-01-01` are
   text, `!tags` and `<<` are refused: what a technician sees is what is meant.
2. Nothing raises for bad text. What could not be read is left out of `data` and named in
   `findings`.
3. Depth and the weight of repeated aliases are bounded, so no file can eat the gateway's memory.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

from edgectl.errors import Finding

Where: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the file."""

DEPTH_MAX: Final = 32
WEIGHT_MAX: Final = 200_000
FINDINGS_MAX: Final = 200

_INT: Final = re.compile(r"[-+]?[0-9]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INF: Final = re.compile(r"[-+]?\.(inf|Inf|INF)")
_WORDS: Final[Mapping[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_DIGITS_MAX: Final = 18
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_STANDARD_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Parsed:
    """`data` is None where nothing could be read; then `findings` says why."""

    data: object
    lines: Mapping[Where, int]
    findings: tuple[Finding, ...]


def path_text(where: Where) -> str:
    """Write a path as people do: `evses[3].max_a`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse(text: str, *, file: str) -> Parsed:
    """Read one YAML document."""
    builder = _Builder(file)
    try:
        for event in _events(text):
            builder.take(event)
    except _StopReadingError:
        pass
    except yaml.YAMLError as error:
        line = _error_line(error, text)
        builder.findings.append(
            Finding(
                file=file,
                line=line,
                path="",
                code="syntax",
                message=f"not YAML: {_error_text(error)}",
                remedy=_syntax_remedy(_error_text(error), _line_text(text, line)),
            )
        )
        builder.failed = True
    if not builder.failed and builder.documents == 0:
        builder.findings.append(
            Finding(
                file=file,
                line=0,
                path="",
                code="empty",
                message="the file is empty",
                remedy="begin with a copy of one of the shipped examples",
            )
        )
    return Parsed(
        data=None if builder.failed else builder.root,
        lines=builder.lines,
        findings=tuple(builder.findings),
    )


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the parser's events; libyaml's parser, where PyYAML has it, is ten times faster."""
    loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    yield from yaml.parse(text, Loader=loader)


class _StopReadingError(Exception):
    """A bound was met; what follows is not read."""


@dataclass(slots=True)
class _Frame:
    """A list or mapping under construction."""

    value: list[object] | dict[str | int, object]
    where: Where
    line: int
    anchor: str | None
    weight: int = 1
    key: str | int | None = None
    keyed: bool = False
    skip_value: bool = False
    key_lines: dict[str | int, int] = field(default_factory=dict)


_UNFINISHED: Final = object()


class _Builder:
    """Turns parser events into data with a stack of its own: no depth can break it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: object = None
        self.lines: dict[Where, int] = {}
        self.findings: list[Finding] = []
        self.failed = False
        self.documents = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._weight = 0

    def note(self, line: int, where: Where, *, code: str, message: str, remedy: str) -> None:
        """Keep a finding; a file with hundreds of them is not read to its end."""
        self.findings.append(
            Finding(
                file=self.file,
                line=line,
                path=path_text(where),
                code=code,
                message=message,
                remedy=remedy,
            )
        )
        if len(self.findings) >= FINDINGS_MAX:
            self._stop()

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start_collection(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self._stack.pop()
            if frame.anchor:
                self._anchors[frame.anchor] = (frame.value, frame.weight)
            self._place(frame.value, line=frame.line, weight=frame.weight)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, line)
            value = _scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            self._add_weight(1, line)
            self._place(value, line=line, weight=1)
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event.anchor, line)

    def _start_document(self, line: int) -> None:
        self.documents += 1
        if self.documents > 1:
            self.note(
                line,
                (),
                code="second_document",
                message="a second document begins here",
                remedy="keep one document in the file: remove the line with ---",
            )
            raise _StopReadingError

    def _start_collection(
        self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int
    ) -> None:
        if len(self._stack) >= DEPTH_MAX:
            self.note(
                line,
                (),
                code="too_deep",
                message=f"values are nested deeper than {DEPTH_MAX} levels",
                remedy="the file needs four levels: look for a bracket that is not closed",
            )
            self._stop()
        self._check_tag(event.tag, line)
        self._add_weight(1, line)
        if event.anchor:
            self._anchors[event.anchor] = (_UNFINISHED, 0)
        value: list[object] | dict[str | int, object] = (
            {} if isinstance(event, yaml.MappingStartEvent) else []
        )
        self._stack.append(
            _Frame(value=value, where=self._next_where(), line=line, anchor=event.anchor)
        )

    def _take_alias(self, anchor: str | None, line: int) -> None:
        known = self._anchors.get(anchor or "")
        if known is None or known[0] is _UNFINISHED:
            self.note(
                line,
                self._next_where(),
                code="bad_alias",
                message=f"*{anchor} refers to "
                + ("itself" if known else f"an anchor &{anchor} that is not above it"),
                remedy="write the value out",
            )
            self._place(None, line=line, weight=1)
            return
        value, weight = known
        self._add_weight(weight, line)
        self._place(value, line=line, weight=weight)

    def _place(self, value: object, *, line: int, weight: int) -> None:
        """Put a finished value where it belongs: the top, a list, or a mapping's key or value."""
        if not self._stack:
            self.root = value
            self.lines.setdefault((), line)
            return
        frame = self._stack[-1]
        frame.weight += weight
        if isinstance(frame.value, list):
            self.lines[(*frame.where, len(frame.value))] = line
            frame.value.append(value)
        elif not frame.keyed:
            frame.keyed = True
            self._take_key(frame, frame.value, value, line)
        else:
            frame.keyed = False
            if not frame.skip_value and frame.key is not None:
                frame.value[frame.key] = value

    def _take_key(
        self, frame: _Frame, mapping: dict[str | int, object], key: object, line: int
    ) -> None:
        frame.skip_value = True
        frame.key = None
        if isinstance(key, bool) or not isinstance(key, str | int):
            self.note(
                line,
                frame.where,
                code="bad_key",
                message="a key must be a word or a whole number",
                remedy="put the key in quotes, or look for a brace or a colon too many",
            )
        elif key == "<<":
            self.note(
                line,
                frame.where,
                code="merge_key",
                message="<< (merge) is not read",
                remedy="write the keys out in each entry",
            )
        elif key in mapping or key in frame.key_lines:
            self.note(
                line,
                (*frame.where, key),
                code="duplicate_key",
                message=f"{key} stands here and in line {frame.key_lines[key]}",
                remedy="keep one of them",
            )
        else:
            frame.key = key
            frame.skip_value = False
            frame.key_lines[key] = line
            self.lines[(*frame.where, key)] = line

    def _next_where(self) -> Where:
        """Path of the value that is about to be read."""
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            return (*frame.where, len(frame.value))
        if frame.keyed and frame.key is not None:
            return (*frame.where, frame.key)
        return (*frame.where, "?")

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is None or tag in {"!", _STRING_TAG}:
            return
        shown = tag.replace(_STANDARD_TAG, "!!")
        self.note(
            line,
            self._next_where(),
            code="tag",
            message=f"the tag {shown} is not read",
            remedy="write the plain value",
        )

    def _add_weight(self, weight: int, line: int) -> None:
        self._weight += weight
        if self._weight > WEIGHT_MAX:
            self.note(
                line,
                (),
                code="too_large",
                message=f"the file holds more than {WEIGHT_MAX} values, aliases counted in full",
                remedy="write fewer values; look for aliases of aliases",
            )
            self._stop()

    def _stop(self) -> None:
        self.failed = True
        raise _StopReadingError


def _scalar(event: yaml.ScalarEvent) -> object:
    """Resolve a scalar by the YAML 1.2 core schema; a quoted one is text."""
    text = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) <= _DIGITS_MAX:
        return int(text)
    if _HEX.fullmatch(text) and len(text) <= _DIGITS_MAX:
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _error_line(error: yaml.YAMLError, text: str) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)
    if isinstance(position, int):
        return text.count("\n", 0, position) + 1
    return 0


def _error_text(error: yaml.YAMLError) -> str:
    parts = [getattr(error, name, None) for name in ("context", "problem", "reason")]
    said = ", ".join(part for part in parts if part)
    return said or " ".join(str(error).split())


def _line_text(text: str, line: int) -> str:
    lines = text.split("\n")
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _syntax_remedy(said: str, line_text: str) -> str:
    if "\t" in line_text[: len(line_text) - len(line_text.lstrip())]:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in said:
        return "look for a colon too many or a wrong indentation; put text with ': ' in quotes"
    if "flow" in said or "expected ',' or" in said:
        return "look for a bracket, brace or comma that is missing"
    return "look at this line and the one above: indentation, quotes, brackets"
