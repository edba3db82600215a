"""From ticks to the lines of a journal. What a line says stands in `journal`."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from edgectl.contract.journal import (
    FORMAT,
    OFTEN,
    ROWS,
    TIMES,
    adapter,
    checksum,
    names,
    number,
    shape,
    short_number,
    text_of,
    time_text,
)
from edgectl.contract.record import STATE
from edgectl.model.decision import EvseDecision
from edgectl.model.record import TickRecord
from edgectl.model.site import Site
from edgectl.model.snapshot import EvseView, MeterView, Snapshot

_SITE: Final = TypeAdapter(Site)
_EVSE_DECISION: Final = TypeAdapter(EvseDecision)
_ROW_TYPES: Final = frozenset(ROWS.values())
_OTHERS: Final = tuple(name for name in names(Snapshot) if name not in {"site", "meters", "evses"})
_SHORT_ROW: Final = 80
_NO_METER: Final = MeterView()
_NO_EVSE: Final = EvseView()


def head_line(site: Site, *, version: str, part: int = 1, first_part: int = 1) -> str:
    """The first line of a segment."""
    return text_of(
        {
            "journal": FORMAT,
            "edgectl": version,
            "part": part,
            "first_part": first_part,
            "rows": {name: names(cls) for name, cls in ROWS.items()},
            "shape": shape(),
            "site": _SITE.dump_python(site, mode="json"),
        }
    )


def step_line(record: TickRecord, *, last: TickRecord | None) -> str:
    """One step, as changes since `last` of the same site; whole where that is None."""
    snapshot, now = record.snapshot, record.now
    seen = None if last is None else last.snapshot
    now_s = now.mono_s
    parts = [
        f'"n":{record.number}',
        f'"now":[{number(now.mono_s)},{number(now.utc_s)},{text_of(now.utc_trusted)}]',
    ]
    if last is None:
        parts.append(f'"before":{STATE.dump(record.before)}')
    meters = (
        _meter(snapshot.meters[one.id], seen.meters[one.id] if seen else _NO_METER, now_s)
        for one in snapshot.site.meters
    )
    parts.append(f'"m":[{",".join(meters)}]')
    evses = (
        _evse(snapshot.evses[one.id], seen.evses[one.id] if seen else _NO_EVSE, now_s)
        for one in snapshot.site.evses
    )
    parts.append(f'"e":[{",".join(evses)}]')
    others = {
        name: adapter(Snapshot, name).dump_python(getattr(snapshot, name), mode="json")
        for name in _OTHERS
        if seen is None or getattr(snapshot, name) != getattr(seen, name)
    }
    if others:
        parts.append(f'"s":{text_of(others)}')
    decided = {
        id_: _EVSE_DECISION.dump_python(one, mode="json")
        for id_, one in record.decision.evses.items()
        if last is None or one != last.decision.evses.get(id_)
    }
    if decided:
        parts.append(f'"d":{text_of(decided)}')
    if record.decision.safe:
        parts.append('"safe":true')
    parts.append(f'"sum":"{checksum(record.decision, record.state)}"')
    return "{" + ",".join(parts) + "}"


def _meter(view: MeterView, seen: MeterView, now_s: float) -> str:
    """`0` where nothing is new, else `[gone, [row, ..], {other fields}?]`."""
    if view is seen:
        return "0"
    others = [name for name in names(MeterView) if name != "samples"]
    return f"[{_window(view.samples, seen.samples, now_s)}{_changed(view, seen, others, now_s)}]"


def _evse(view: EvseView, seen: EvseView, now_s: float) -> str:
    """`0` where nothing is new, else `[gone, [row, ..], OFTEN.., {other fields}?]`.

    Of those that change often, `null` is as before and `true` the time of the newest sample.
    """
    if view is seen:
        return "0"
    cells, others = [], [name for name in names(EvseView) if name not in {"samples", *OFTEN}]
    for name in OFTEN:
        time_s = getattr(view, name)
        if time_s is None:
            others.append(name)
        if time_s is None or time_s == getattr(seen, name):
            cells.append("null")
        elif view.samples and time_s == view.samples[-1].taken_s:
            cells.append("true")
        else:
            since_s = getattr(seen, name)
            cells.append(time_text(time_s, since_s=now_s if since_s is None else since_s))
    window = _window(view.samples, seen.samples, now_s)
    return f"[{window},{','.join(cells)}{_changed(view, seen, others, now_s)}]"


def _window(samples: Sequence[Any], seen: Sequence[Any], now_s: float) -> str:
    """How many of the samples seen before are gone, and the new ones."""
    gone = seen.index(samples[0]) if samples and samples[0] in seen else len(seen)
    kept = len(seen) - gone
    if tuple(seen[gone:]) != tuple(samples[:kept]):
        gone, kept = len(seen), 0
    rows, since_s = [], seen[-1].taken_s if kept else now_s
    for sample in samples[kept:]:
        rows.append(_row(sample, since_s))
        since_s = sample.taken_s
    return f"{gone},[{','.join(rows)}]"


def _changed(view: object, seen: object, others: Sequence[str], now_s: float) -> str:
    """The fields among `others` that are new, after a comma; empty where none is."""
    parts = [
        f'"{name}":{_field(type(view), name, value, now_s)}'
        for name in others
        if (value := getattr(view, name)) != getattr(seen, name)
    ]
    return ",{" + ",".join(parts) + "}" if parts else ""


def _field(cls: type, name: str, value: Any, now_s: float) -> str:  # noqa: ANN401 - any field
    if type(value) in _ROW_TYPES:
        return _row(value, now_s)
    if isinstance(value, tuple) and value and type(value[0]) in _ROW_TYPES:
        return "[" + ",".join(_row(one, now_s) for one in value) + "]"
    if isinstance(value, float):
        return number(value)
    return text_of(adapter(cls, name).dump_python(value, mode="json"))


def _row(value: Any, since_s: float) -> str:  # noqa: ANN401 - one of `ROWS`
    """Its fields in their order; with `1` at the end where all but times are of single precision.

    What is long as it stands is worth that look.
    """
    cells = [(name, getattr(value, name)) for name in names(value.__class__)]
    plain = "[" + ",".join(_cells(cells, number, since_s)) + "]"
    if len(plain) <= _SHORT_ROW:
        return plain
    short = _cells(cells, short_number, since_s)
    return "[" + ",".join([*short, "1"]) + "]" if short else plain


def _cells(
    cells: Sequence[tuple[str, Any]], write: Callable[[float | None], str | None], since_s: float
) -> list[str]:
    """The cells of a row; none at all where `write` cannot write one."""
    out = []
    for name, cell in cells:
        if name in TIMES:
            out.append(time_text(cell, since_s=since_s))
            continue
        words = [write(one) for one in cell] if isinstance(cell, tuple) else [write(cell)]
        if None in words:
            return []
        text = ",".join(word for word in words if word is not None)
        out.append(f"[{text}]" if isinstance(cell, tuple) else text)
    return out
