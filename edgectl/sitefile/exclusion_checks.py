"""Checks of `indicators`: exclusions name EVSEs that there are, and times that pass."""

from collections.abc import Iterator
from datetime import datetime

from edgectl.errors import Finding
from edgectl.sitefile.draft import Draft
from edgectl.sitefile.source import did_you_mean
from edgectl.sitefile.yaml_text import Where


def check_exclusions(draft: Draft) -> Iterator[Finding]:
    """Check what no exclusion can know by itself."""
    known = {name for _, name in draft.names("evses")} | set(draft.groups)
    rows = draft.section("indicators").get("exclusions")
    for position, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        where: Where = ("indicators", "exclusions", position)
        named = row.get("evses")
        for place, name in enumerate(named if isinstance(named, list) else []):
            if isinstance(name, str) and name not in known:
                yield draft.source.finding(
                    (*where, "evses", place),
                    code="unknown_id",
                    message=f"there is no EVSE or group {name}{did_you_mean(name, sorted(known))}",
                    remedy="name an EVSE or a group of this file",
                )
        begin, end = _moment(row.get("from")), _moment(row.get("until"))
        if begin is not None and end is not None and end <= begin:
            yield draft.source.finding(
                (*where, "until"),
                code="bad_order",
                message="the exclusion ends before it begins",
                remedy="give a later `until`",
            )


def _moment(text: object) -> datetime | None:
    """Return nothing for what the shape's own check refuses already."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
