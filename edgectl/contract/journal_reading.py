"""From the lines of a journal back to steps. What a line says stands in `journal`."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter

from edgectl.clock import Instant
from edgectl.contract.journal import (
    FORMAT,
    OFTEN,
    ROWS,
    TIMES,
    Head,
    JournalStep,
    adapter,
    names,
    single,
    time_value,
)
from edgectl.model.decision import EvseDecision
from edgectl.model.reading import EvseSample, MeterSample
from edgectl.model.site import Site
from edgectl.model.snapshot import Confirmed, EvseView, MeterView, Sent, Snapshot
from edgectl.model.state import State
from edgectl.units import EvseId, MeterId

_SITE: Final = TypeAdapter(Site)
_STATE: Final = TypeAdapter(State)
_DECIDED: Final = TypeAdapter(dict[EvseId, EvseDecision])
_ADAPTERS: Final[dict[type, TypeAdapter[Any]]] = {cls: TypeAdapter(cls) for cls in ROWS.values()}
_FIELD_ROWS: Final[dict[str, type]] = {"sent": Sent, "confirmed": Confirmed}
_NO_METER: Final = MeterView()
_NO_EVSE: Final = EvseView()
_HEAD_BEGINS: Final = '{"journal":'
_NOW: Final = re.compile(r'\{"n":\d+,"now":\[[^,]+,([^,]+),')
_WRONG: Final = (KeyError, TypeError, IndexError, AttributeError, ValueError)
_MOMENT: Final = TypeAdapter(tuple[float, float, bool])


@dataclass(frozen=True, slots=True)
class Chapter:
    """The lines of a chapter: its head, and its steps from the whole one on."""

    head: str
    steps: tuple[str, ...]
    begin_utc_s: float


def chapters_of(lines: Iterable[str]) -> Iterator[Chapter]:
    """Whole chapters, in their order; `ValueError` where the lines are none of a journal's."""
    head: str | None = None
    steps: list[str] = []
    for line in lines:
        if line.startswith(_HEAD_BEGINS):
            if head is not None and steps:
                yield _chapter(head, steps)
            head, steps = line, []
        elif head is not None:
            steps.append(line)
        else:
            raise ValueError("it does not begin with the head of a journal")
    if head is not None and steps:
        yield _chapter(head, steps)


def _chapter(head: str, steps: list[str]) -> Chapter:
    found = _NOW.match(steps[0])
    if found is None:
        raise ValueError(f"a chapter begins with {steps[0][:60]!r}, which is no step")
    return Chapter(head=head, steps=tuple(steps), begin_utc_s=float(found[1]))


def chapters_within(
    chapters: Iterable[Chapter], *, from_utc_s: float, until_utc_s: float
) -> Iterator[Chapter]:
    """Those that may have a step in the interval, unread."""
    before: Chapter | None = None
    for chapter in chapters:
        if before is not None and chapter.begin_utc_s > from_utc_s:
            yield before
        before = chapter if chapter.begin_utc_s <= until_utc_s else None
    if before is not None:
        yield before


def read_steps(
    chapters: Iterable[Chapter], *, passed_over: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Head, JournalStep]]:
    """Every step that can be known, with the head of its chapter.

    A step after a gap is passed over until the next chapter, and its number told. `ValueError`: a
    line is no step. Chapters with the same head have the same site object.
    """
    head, head_text = None, ""
    for chapter in chapters:
        if head is None or chapter.head != head_text:
            head, head_text = _head(chapter.head), chapter.head
        last: JournalStep | None = None
        for line in chapter.steps:
            try:
                data = json.loads(line)
                number, whole = int(data["n"]), "before" in data
                if not whole and (last is None or number != last.number + 1):
                    last = None
                    passed_over(number)
                    continue
                last = _Line(head, data).step(None if whole else last)
            except _WRONG as fault:
                raise ValueError(f"a line is no step: {type(fault).__name__} {fault}") from fault
            yield head, last


def _head(line: str) -> Head:
    data = json.loads(line)
    if data["journal"] != FORMAT:
        raise ValueError(f"it is a journal of format {data['journal']!r}, not {FORMAT}")
    try:
        return Head(
            site=_SITE.validate_python(data["site"]),
            version=str(data["edgectl"]),
            part=int(data["part"]),
            first_part=int(data["first_part"]),
            rows={str(name): tuple(map(str, row)) for name, row in data["rows"].items()},
            shape=str(data["shape"]),
        )
    except _WRONG as fault:
        raise ValueError(f"its head is not whole: {type(fault).__name__} {fault}") from fault


class _Line:
    """One line of steps, read with the names in the head."""

    def __init__(self, head: Head, data: dict[str, Any]) -> None:
        mono_s, utc_s, trusted = _MOMENT.validate_python(data["now"])
        self._now = Instant(mono_s=mono_s, utc_s=utc_s, utc_trusted=trusted)
        self._head = head
        self._data = data
        self._now_s = self._now.mono_s

    def step(self, last: JournalStep | None) -> JournalStep:
        """The step; as changes since `last` where that is given."""
        data, site = self._data, self._head.site
        snapshot = Snapshot(site=site, meters={}, evses={}) if last is None else last.snapshot
        snapshot = replace(
            snapshot,
            meters={
                one.id: self._meter(entry, snapshot.meters.get(MeterId(one.id), _NO_METER))
                for one, entry in zip(site.meters, data["m"], strict=True)
            },
            evses={
                one.id: self._evse(entry, snapshot.evses.get(EvseId(one.id), _NO_EVSE))
                for one, entry in zip(site.evses, data["e"], strict=True)
            },
            **{
                name: adapter(Snapshot, name).validate_python(value)
                for name, value in data.get("s", {}).items()
                if name in names(Snapshot)
            },
        )
        decided = _DECIDED.validate_python(data.get("d", {}))
        return JournalStep(
            number=data["n"],
            now=self._now,
            snapshot=snapshot,
            before=_STATE.validate_python(data["before"]) if "before" in data else None,
            evses=decided if last is None else {**last.evses, **decided},
            safe=bool(data.get("safe", False)),
            checksum=str(data["sum"]),
        )

    def _meter(self, entry: Any, seen: MeterView) -> MeterView:  # noqa: ANN401 - JSON
        if entry == 0:
            return seen
        gone, rows, *others = entry
        samples = self._window(MeterSample, seen.samples[gone:], rows)
        return replace(seen, samples=samples, **self._others(MeterView, others))

    def _evse(self, entry: Any, seen: EvseView) -> EvseView:  # noqa: ANN401 - JSON
        if entry == 0:
            return seen
        gone, rows, *rest = entry
        often, others = rest[: len(OFTEN)], rest[len(OFTEN) :]
        samples = self._window(EvseSample, seen.samples[gone:], rows)
        times = {}
        for name, written in zip(OFTEN, often, strict=True):
            since_s = getattr(seen, name)
            if written is True:
                times[name] = samples[-1].taken_s
            elif written is not None:
                since_s = self._now_s if since_s is None else since_s
                times[name] = time_value(written, since_s=since_s)
        return replace(seen, samples=samples, **{**times, **self._others(EvseView, others)})

    def _others(self, cls: type, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, written in found[0].items() if found else ():
            row = _FIELD_ROWS.get(name)
            if name not in names(cls):
                continue
            if row is not None and name == "sent":
                values[name] = self._rows(row, written)
            elif row is not None and written is not None:
                (values[name],) = self._rows(row, [written])
            else:
                values[name] = adapter(cls, name).validate_python(written)
        return values

    def _rows(self, cls: type, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        return tuple(self._row(cls, row, self._now_s) for row in rows)

    def _window(
        self, cls: type, kept: tuple[Any, ...], rows: Sequence[Sequence[Any]]
    ) -> tuple[Any, ...]:
        samples = list(kept)
        for row in rows:
            since_s = samples[-1].taken_s if samples else self._now_s
            samples.append(self._row(cls, row, since_s))
        return tuple(samples)

    def _row(self, cls: type, row: Sequence[Any], since_s: float) -> Any:  # noqa: ANN401 - a `cls`
        heads, known = self._head.rows[cls.__name__], names(cls)
        if not len(heads) <= len(row) <= len(heads) + 1:
            raise IndexError(f"{len(row)} cells where {cls.__name__} has {len(heads)}")
        short = len(row) > len(heads)
        values = {}
        for name, cell in zip(heads, row, strict=False):
            if name in known and name in TIMES:
                values[name] = time_value(cell, since_s=since_s)
            elif name in known:
                values[name] = _long(cell) if short else cell
        return _ADAPTERS[cls].validate_python(values)


def _long(cell: Any) -> Any:  # noqa: ANN401 - JSON
    """A cell of single precision with all its digits."""
    if isinstance(cell, list):
        return [_long(one) for one in cell]
    return single(cell) if isinstance(cell, float) else cell
