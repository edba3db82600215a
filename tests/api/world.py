"""A small depot after one tick, written by hand: the worked example of the design with a cap."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse, CommandResult
from edgectl.errors import Refused
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import (
    Alarm,
    AlarmCode,
    Decision,
    EvseDecision,
    NodeDecision,
    Reason,
    ReasonCode,
    Severity,
)
from edgectl.model.reading import EvseSample, Quality, VehicleState
from edgectl.model.record import TickRecord
from edgectl.model.site import (
    ChargerTraits,
    Evse,
    Link,
    LinkKind,
    Mode,
    Node,
    Site,
)
from edgectl.model.snapshot import EvseView, Snapshot
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId, LinkId, NodeId

NOW = Instant(mono_s=1000.0, utc_s=1_800_000_000.0)
STARTED_UTC_S = NOW.utc_s - 900.0
LIMIT = Holder(Rank.SAFETY, "limit", "grid")
CAP = Holder(Rank.OPERATOR, "cap", "cap-0")
COMMAND = Holder(Rank.TECHNICIAN, "command", "c-17")
BAYS = [EvseId(f"bay0{n}") for n in range(1, 7)]

CAP_CEILING = TimedCeiling(
    holder=CAP,
    reason="evening peak",
    from_utc_s=NOW.utc_s - 600.0,
    until_utc_s=NOW.utc_s + 1800.0,
    node=NodeId("tx1"),
    limit_a=(100.0, 100.0, 100.0),
)

SITE = Site(
    id="depot-north",
    region="bay",
    timezone="Europe/Berlin",
    voltage_v=230.0,
    mode=Mode.CONTROL,
    nodes=(
        Node(NodeId("grid"), None, limit_a=(400.0, 400.0, 400.0)),
        Node(NodeId("tx1"), NodeId("grid"), limit_a=(120.0, 120.0, 120.0), limit_va=80_000.0),
    ),
    meters=(),
    evses=tuple(
        Evse(
            bay,
            NodeId("tx1"),
            profile="p",
            link=LinkId("lan1"),
            unit=n,
            connector=1,
            phases=(1, 2, 3),
            max_a=32.0,
            traits=ChargerTraits(hardware_max_a=32.0),
        )
        for n, bay in enumerate(BAYS, start=1)
    ),
    links=(Link(LinkId("lan1"), LinkKind.TCP, "127.0.0.1", 502),),
    groups={"bays-east": (BAYS[0], BAYS[1]), "first": (BAYS[0],)},
)


def evse_decision(code: ReasonCode = ReasonCode.NODE_CEILING, **changes: object) -> EvseDecision:
    reason = Reason(code, node=NodeId("tx1"), row="1", holder=CAP, limit=100.0)
    base = EvseDecision(
        allocation_a=13.0, setpoint_a=13.0, committed_a=13.0, silent=False, reason=reason
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def node_decision(
    *,
    ceiling_a: float,
    ceiling_va: float | None,
    margin_a: float,
    margin_va: float,
    base_a: float,
    load_a: float,
    holder: Holder,
) -> NodeDecision:
    account_a, volts = base_a + load_a, 3 * 230.0
    return NodeDecision(
        ceiling_a=(ceiling_a,) * 3,
        ceiling_va=ceiling_va,
        margin_a=(margin_a,) * 3,
        margin_va=None if ceiling_va is None else margin_va,
        base_a=(base_a,) * 3,
        base_va=base_a * volts,
        account_a=(account_a,) * 3,
        account_va=account_a * volts,
        promise_a=(account_a,) * 3,
        promise_va=account_a * volts,
        deficit_a=(0.0, 0.0, 0.0),
        deficit_va=0.0,
        quality=Quality.GOOD,
        holder=holder,
        holder_a=(holder,) * 3,
        holder_va=LIMIT,
    )


def record(
    *,
    evses: dict[EvseId, EvseDecision] | None = None,
    alarms: tuple[Alarm, ...] = (),
    ceilings: tuple[TimedCeiling, ...] = (CAP_CEILING,),
    states: dict[EvseId, EvseState] | None = None,
    safe: bool = False,
) -> TickRecord:
    """The depot at `NOW`: base 20 A and six vehicles with 13 A each under a ceiling of 100 A."""
    sample = EvseSample(taken_s=NOW.mono_s - 0.4, current_a=(12.9, 12.8, 12.7))
    view = EvseView(
        samples=(sample,),
        vehicle=VehicleState.CHARGING,
        last_answer_s=NOW.mono_s - 0.4,
        session_wh=4200.0,
    )
    decisions = {bay: evse_decision() for bay in BAYS} | (evses or {})
    return TickRecord(
        number=900,
        now=NOW,
        snapshot=Snapshot(site=SITE, meters={}, evses=dict.fromkeys(BAYS, view), ceilings=ceilings),
        before=State(started_s=100.0),
        state=State(started_s=100.0, evses=states or {}),
        decision=Decision(
            evses=decisions,
            nodes={
                NodeId("grid"): node_decision(
                    ceiling_a=400.0,
                    ceiling_va=None,
                    margin_a=8.0,
                    margin_va=0.0,
                    base_a=50.0,
                    load_a=78.0,
                    holder=LIMIT,
                ),
                NodeId("tx1"): node_decision(
                    ceiling_a=100.0,
                    ceiling_va=80_000.0,
                    margin_a=2.0,
                    margin_va=1600.0,
                    base_a=20.0,
                    load_a=78.0,
                    holder=CAP,
                ),
            },
            alarms=alarms,
            wake_above_a={},
            safe=safe,
        ),
        started_utc_s=STARTED_UTC_S,
        tick_p99_ms=1.9,
    )


ALARM = Alarm(AlarmCode.CHARGER_SILENT, Severity.WARNING, "bay03", "bay03 does not answer")
CRITICAL = Alarm(AlarmCode.OVER_CEILING, Severity.CRITICAL, "tx1", "tx1 is over its ceiling")


@dataclass
class Journal:
    """A log that keeps what was said."""

    _captured: CapturingLogger = field(default_factory=CapturingLogger)

    def log(self) -> FilteringBoundLogger:
        logger: FilteringBoundLogger = structlog.wrap_logger(
            self._captured,
            processors=[],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        return logger

    @property
    def lines(self) -> list[dict[str, object]]:
        return [dict(call.kwargs) for call in self._captured.calls]


@dataclass
class FixedClock:
    """A clock that stands still until it is moved."""

    at: Instant = NOW

    def now(self) -> Instant:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.mono_s

    async def sleep_until(self, mono_s: float) -> None:
        await asyncio.sleep(max(0.0, mono_s - self.at.mono_s))

    def call_at(self, mono_s: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        wait_s = max(0.0, mono_s - self.at.mono_s)
        return asyncio.get_running_loop().call_later(wait_s, act)


@dataclass
class FixedFacts:
    """Facts that a test sets."""

    latest: TickRecord | None = field(default_factory=record)
    asked_soon: int = 0

    async def soon(self) -> None:
        self.asked_soon += 1


@dataclass
class FakeDesk:
    """Takes every command, or answers and raises what a test says."""

    taken: list[tuple[str, dict[str, object], str]] = field(default_factory=list)
    answer: CommandResponse | None = None
    refusal: Refused | None = None
    fault: Exception | None = None

    async def local(self, verb: str, body: object, *, who: str, now: Instant) -> CommandResponse:
        if self.fault is not None:
            raise self.fault
        if self.refusal is not None:
            raise self.refusal
        assert isinstance(body, dict)
        assert now == NOW
        self.taken.append((verb, body, who))
        number = len(self.taken)
        return self.answer or CommandResponse(
            command_id=f"local-{number}",
            result=CommandResult.ACCEPTED,
            message=f"{verb} is in force",
            until="2027-01-15T10:00:00.000Z",
        )
