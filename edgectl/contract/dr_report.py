"""The delivery ledger upstream: its rows, and the same as an OpenADR 3 report object.

The report's intervals have the ids of the event's intervals that they answer (User Guide 7.5) and
periods of their own, because an interval is settled in quarter-hours. What is fed back is negative
demand of a resource `{place}.export`.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import Field

from edgectl.contract import topics
from edgectl.contract.envelope import Envelope, Outgoing, Timestamp, rfc3339
from edgectl.contract.messages import Report
from edgectl.grid.event import Event
from edgectl.grid.ledger import Settled
from edgectl.units import W_PER_KW

NAME: Final = "dr"
_DESCRIPTORS: Final = (
    ("DEMAND", "MEAN", "KW"),
    ("BASELINE", "MEAN", "KW"),
    ("DATA_QUALITY", None, None),
)


class LedgerRow(Outgoing):
    """What was asked, promised and delivered in one part of an interval; powers in W.

    `shortfall_w` is of the time in which the event was not lifted, spread over the whole row's;
    `lifted_part` of what was measured is the rest, left out where it is none.
    `side` is `export` for what is fed back, as positive power; left out for what is drawn.
    """

    at: str
    side: str | None = None
    interval: int
    from_: Timestamp = Field(alias="from")
    until: Timestamp
    baseline_w: float | None = None
    baseline_method: str
    baseline_days: int | None = None
    limit_w: float | None = None
    promised_w: float | None = None
    measured_w: float | None = None
    delivered_w: float | None = None
    shortfall_w: float | None = None
    cause: str | None = None
    good_part: float
    quality: str
    lifted_part: float | None = None


class ChainHead(Outgoing):
    """The newest row of the ledger's chain of evidence: number and SHA-256."""

    number: int
    hash: str


class DrReport(Report):
    """`report/dr`. `report`: the same as an OpenADR 3 report object.

    `report_id`: of what it tells; told again, as after a kill, it has the same.
    """

    report_id: str
    event_id: str
    program_id: str
    modified: Timestamp | None = None
    rows: tuple[LedgerRow, ...]
    report: dict[str, Any]
    chain: ChainHead | None = None


class DrReportMessage(Envelope, DrReport):
    """`report/dr` as it is published."""

    schema_id: ClassVar[str] = Report.schema_id


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of the report, by topic name."""
    return {topics.REPORT + NAME: DrReportMessage.model_json_schema(by_alias=True)}


def ledger_row(settled: Settled) -> LedgerRow:
    """A settled slice for the wire and for the chain."""
    return LedgerRow(
        at=settled.at,
        side="export" if settled.exports else None,
        interval=settled.interval,
        **{"from": rfc3339(settled.from_utc_s)},
        until=rfc3339(settled.until_utc_s),
        baseline_w=_watts(settled.baseline.power_w),
        baseline_method=settled.baseline.method.value,
        baseline_days=settled.baseline.days or None,
        limit_w=_watts(settled.limit_w),
        promised_w=_watts(settled.promised_w),
        measured_w=_watts(settled.measured_w),
        delivered_w=_watts(settled.delivered_w),
        shortfall_w=_watts(settled.shortfall_w),
        cause=None if settled.cause is None else settled.cause.value,
        good_part=round(settled.good_part, 4),
        quality=settled.quality.value,
        lifted_part=round(settled.lifted_part, 4) or None,
    )


def report_id(event: Event, modified_utc_s: float, rows: Sequence[Settled]) -> str:
    """The same for the same rows of the same version, and for no others."""
    told = [ledger_row(row).model_dump(mode="json", by_alias=True) for row in rows]
    text = json.dumps([event.program, event.id, rfc3339(modified_utc_s), told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def openadr_report(event: Event, rows: Sequence[Settled], *, client: str) -> dict[str, Any]:
    """A report object that is valid in 3.0.1 and in 3.1."""
    resources: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        payloads: list[dict[str, Any]] = [{"type": "DATA_QUALITY", "values": [row.quality.value]}]
        drawn_w = row.measured_w
        if row.exports and drawn_w:
            drawn_w = -drawn_w
        for kind, power_w in (("DEMAND", drawn_w), ("BASELINE", row.baseline.power_w)):
            if power_w is not None:
                payloads.append({"type": kind, "values": [round(power_w / W_PER_KW, 3)]})
        resources.setdefault(f"{row.at}.export" if row.exports else row.at, []).append(
            {
                "id": row.interval,
                "intervalPeriod": {
                    "start": rfc3339(row.from_utc_s),
                    "duration": _duration(row.until_utc_s - row.from_utc_s),
                },
                "payloads": payloads,
            }
        )
    return {
        "objectType": "REPORT",
        "programID": event.program,
        "eventID": event.id,
        "clientName": client,
        "reportName": f"delivery of {event.id}"[:128],
        "payloadDescriptors": [
            {
                "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
                "payloadType": kind,
                **({} if reading is None else {"readingType": reading, "units": unit}),
            }
            for kind, reading, unit in _DESCRIPTORS
        ],
        "resources": [
            {"resourceName": name, "intervals": intervals} for name, intervals in resources.items()
        ],
    }


def _watts(power_w: float | None) -> float | None:
    return None if power_w is None else round(power_w, 1)


def _duration(seconds: float) -> str:
    whole = round(seconds, 3)
    return f"PT{whole:g}S" if whole != int(whole) else f"PT{int(whole)}S"
