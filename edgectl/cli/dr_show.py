"""What `edgectl dr` says: events with what they ask, promise and deliver, on 80 columns too."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from edgectl.cli.output import broken, kilo, printable, short_time, table

EVENTS_SHOWN: Final = 15
IMPACT_SHOWN: Final = 3
_NAME_CHARS: Final = 16
_FIRST: Final = {"active": 0, "accepted": 1, "partial": 1}


def dr_lines(answer: dict[str, Any], *, width: int | None, every: bool) -> list[str]:
    """Everything; without `every` no more events than fit beside what is said of them."""
    events = sorted(answer["events"], key=_urgency)
    shown = events if every or width is None else events[:EVENTS_SHOWN]
    lines: list[str] = []
    if shown:
        heads = ("EVENT", "STATE", ">ASKED", ">PROM.", ">MEAN", "WHEN", "PROGRAM", "AT")
        lines += table(heads, [_row(event) for event in shown])
        lines.append("kW (A where it says so); MEAN: measured in this quarter-hour so far")
    else:
        lines.append("no event is in force")
    if len(shown) < len(events):
        lines.append(f"and {len(events) - len(shown)} more to come: `edgectl dr --all`")
    named = IMPACT_SHOWN if width is not None and not every else None
    said = [remark for event in shown for remark in _remarks(event, named)]
    said += _links(answer["links"])
    lines += said if width is None else [p for s in said for p in broken(printable(s), width)]
    for name, head in answer["chains"].items():
        lines.append(f"{name}: {head['rows']} rows, newest {head['hash'][:16]}")
    return lines


def _urgency(event: dict[str, Any]) -> tuple[int, str]:
    """What is under way first, then by its start; what is only recorded last."""
    return _FIRST.get(str(event["state"]), 2), str(event.get("from", ""))


def _row(event: dict[str, Any]) -> tuple[str, ...]:
    now = event.get("now", {})
    state = event_state(event)
    name = str(event["event_id"])
    return (
        name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + ">",
        state,
        _asked(event),
        "-" if state == "lifted" else kilo(event.get("promised_w")),
        kilo(now.get("measured_w")),
        _when(event),
        str(event["program_id"]),
        ",".join(event.get("targets", [])) or "-",
    )


def event_state(event: dict[str, Any]) -> str:
    """How far an event has come, or that it is set aside."""
    return "lifted" if "lifted_until" in event else str(event["state"])


def _asked(event: dict[str, Any]) -> str:
    """The tightest limit of what is drawn, else of what is fed back."""
    if event.get("limit_w") is not None:
        return kilo(event["limit_w"])
    if event.get("limit_a") is not None:
        return f"{event['limit_a']:g} A"
    return "-"


def _when(event: dict[str, Any]) -> str:
    if event["state"] == "active":
        return f"until {short_time(event['until'])}" if event.get("until") else "until changed"
    return f"from {short_time(event.get('from'))}"


def _remarks(event: dict[str, Any], named: int | None) -> Iterator[str]:
    name = event["event_id"]
    if len(name) > _NAME_CHARS:
        yield f"{name[: _NAME_CHARS - 1]}> is {name}"
    if "code" in event:
        yield f"{name}: refused ({event['code']}): {event.get('message', '')}; it is only recorded"
    if event.get("export_w") is not None or event.get("export_a") is not None:
        most = f"{event['export_a']:g} A" if event.get("export_w") is None else None
        most = most or f"{kilo(event['export_w'])} kW"
        yield f"{name}: may be fed back at most {most}; that is watched, not commanded"
    if "lifted_until" in event:
        until = short_time(event["lifted_until"])
        said = f"{name}: set aside until {until} by {event['lifted_by']}"
        said += f": {event['lifted_for']}" if event.get("lifted_for") else ""
        if event.get("lift_id"):
            said += f"; `edgectl release {event['lift_id']}` ends that"
        yield said
    impact, rest = event.get("impact", []), event.get("impact_rest", {})
    for one in impact[:named]:
        yield f"{name}: the vehicle at {one['evse']} will miss {kilo(one['missing_wh'])} kWh"
    left = [] if named is None else impact[named:]
    if more := len(left) + rest.get("evses", 0):
        wh = sum(one["missing_wh"] for one in left) + rest.get("missing_wh", 0.0)
        yield f"{name}: and {more} more vehicles will miss {kilo(wh)} kWh"
    now = event.get("now", {})
    if "delivered_w" in now:
        yield (
            f"{name}: delivers {kilo(now['delivered_w'])} kW against a baseline of "
            f"{kilo(now['baseline_w'])} kW ({now['baseline_method'].replace('_', ' ')})"
        )
    if now.get("shortfall_w"):
        cause = str(now.get("cause", "unknown")).replace("_", " ")
        yield (
            f"{name}: {kilo(now['shortfall_w'])} kW above its promise in this quarter-hour so far,"
            f" because of: {cause}"
        )


def _links(links: Sequence[dict[str, Any]]) -> Iterator[str]:
    for link in links:
        if link["lost"]:
            since = short_time(link.get("since"))
            yield f"program {link['program_id']} is not heard since {since}: its limit holds"
