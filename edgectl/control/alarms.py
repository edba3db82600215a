"""The alarms that a person should see now: about the rows of a node, its meter, and an EVSE."""

from typing import Final

from edgectl.control.account import FOLLOWED_A, Commitment
from edgectl.control.curved import PRIMARY
from edgectl.control.judge import NodeJudgement
from edgectl.control.layout import VA_ROW
from edgectl.control.rows import Tight, measured_va_of
from edgectl.model.allocation import ROWS
from edgectl.model.decision import Alarm, AlarmCode, NodeDecision, Severity
from edgectl.model.reading import FRESH_POLLS, MeterSample, Quality
from edgectl.model.site import Meter, Node
from edgectl.units import EvseId, NodeId, OptionalTriple

OVER: Final = 1e-6
OVER_SHARE: Final = 1e-9


def node_alarms(
    node: NodeId, judged: NodeJudgement, decision: NodeDecision, *, metered: bool
) -> list[Alarm]:
    """What is wrong at one node; a node without a ceiling has nothing to be held against."""
    alarms = []
    if metered and judged.frozen:
        alarms.append(
            Alarm(
                code=AlarmCode.METER_FROZEN,
                severity=Severity.ALARM,
                id=node,
                text=f"the meter of {node} repeats one value although chargers below it moved: its"
                " base load goes to the worst case; look at the meter and whatever passes it on",
            )
        )
    elif metered and judged.quality is not Quality.GOOD and _is_limited(decision):
        stale = judged.quality is Quality.STALE
        alarms.append(
            Alarm(
                code=AlarmCode.METER_STALE if stale else AlarmCode.METER_LOST,
                severity=Severity.WARNING,
                id=node,
                text=f"no fresh meter value for {node}: its base load goes to the worst case",
            )
        )
    ceilings, measured, account, deficit = _rows(judged, decision)
    for row, ceiling in enumerate(ceilings):
        if ceiling is not None:
            alarms += _row_alarms(
                node,
                row,
                ceiling=ceiling,
                measured=measured[row],
                account=account[row],
                deficit=deficit[row],
            )
    return alarms


def _is_limited(decision: NodeDecision) -> bool:
    primary_a = () if decision.primary is None else decision.primary.ceiling_a
    return any(c is not None for c in (*decision.ceiling_a, decision.ceiling_va, *primary_a))


def _rows(
    judged: NodeJudgement, decision: NodeDecision
) -> tuple[
    tuple[float | None, ...], tuple[float | None, ...], tuple[float, ...], tuple[float, ...]
]:
    """Ceiling, measured value, account and deficit of every row."""
    ceilings = (*decision.ceiling_a, decision.ceiling_va)
    measured = (*judged.meter_a, measured_va_of(judged))
    account = (*decision.account_a, decision.account_va)
    deficit = (*decision.deficit_a, decision.deficit_va)
    primary, implied = decision.primary, judged.implied
    if primary is None:
        return ceilings, measured, account, deficit
    flows: OptionalTriple = (None, None, None) if implied is None else implied.primary_a
    return (
        (*ceilings, *primary.ceiling_a),
        (*measured, *flows),
        (*account, *primary.account_a),
        (*deficit, *primary.deficit_a),
    )


def unbalance_alarms(node: Node, judged: NodeJudgement) -> list[Alarm]:
    """Two phases that a meter shows farther apart than they may be."""
    known = [(value, p) for p, value in enumerate(judged.meter_a) if value is not None]
    if node.unbalance_a is None or len(known) < 2:
        return []
    (least_a, lesser), (most_a, greater) = min(known), max(known)
    if most_a - least_a <= node.unbalance_a + OVER:
        return []
    return [
        Alarm(
            code=AlarmCode.UNBALANCE,
            severity=Severity.WARNING,
            id=node.id,
            text=f"{node.id} L{ROWS[greater]} and L{ROWS[lesser]} are too far apart",
            data={"limit_a": node.unbalance_a, "measured_a": most_a - least_a},
        )
    ]


def part_alarms(
    node: NodeId, meter: Meter, sample: MeterSample | None, decision: NodeDecision, now_s: float
) -> list[Alarm]:
    """What a meter that sees a part of a node says: that alone is above the whole's ceiling (S7).

    What it feeds back may be drawn by another part, so that currents count as amounts.
    """
    if sample is None or now_s - sample.taken_s > FRESH_POLLS * meter.poll_s:
        return []
    found = []
    for phase in meter.phases:
        measured_a, ceiling_a = sample.current_a[phase - 1], decision.ceiling_a[phase - 1]
        power_w = sample.power_w[phase - 1]
        if measured_a is None or ceiling_a is None or (power_w is not None and power_w < 0.0):
            continue
        if measured_a > ceiling_a + OVER + OVER_SHARE * ceiling_a:
            found.append(
                Alarm(
                    code=AlarmCode.OVER_CEILING,
                    severity=Severity.ALARM,
                    id=f"{meter.id}.{phase}",
                    text=f"{meter.id}, which sees a part of {node} L{phase}, shows more than its"
                    " ceiling",
                    data={"phase": phase, "measured_a": measured_a, "ceiling_a": ceiling_a},
                )
            )
    return found


def boot_alarm(evse: EvseId, boot_a: float, tight: Tight, node: NodeId) -> Alarm:
    """S11: its reboot would overload a row even beside the base load alone."""
    where = _where(node, tight.row)
    return Alarm(
        code=AlarmCode.BOOT_CURRENT,
        severity=Severity.WARNING,
        id=evse,
        text=f"after its power returns {evse} allows {boot_a:g} A until it is told otherwise, and"
        f" {where} does not bear that even with every other EVSE paused; lower it in the charger",
        data={"boot_a": boot_a, "room_a": max(0.0, tight.room_a)},
    )


def unseen_boot_alarm(node: NodeId, row: int, short: float) -> Alarm:
    """S11: nothing shows who rebooted below it, and there is no room to count them all."""
    unit = "va" if row == VA_ROW else "a"
    where = _where(node, row)
    return Alarm(
        code=AlarmCode.BOOT_CURRENT,
        severity=Severity.WARNING,
        id=node,
        text=f"no meter shows what chargers below {node} draw after a reboot, and {where} does not"
        " bear the boot currents of all of them: lower those, or put a meter there",
        data={f"short_{unit}": short},
    )


def is_alarming(commitment: Commitment) -> bool:
    """Whether something is wrong with an EVSE."""
    if commitment.silent or commitment.blind:
        return True
    measured_a = commitment.measured_a
    if measured_a is None:
        return False
    return measured_a - commitment.held_a > FOLLOWED_A or commitment.excess_a > FOLLOWED_A


def evse_alarms(evse: EvseId, commitment: Commitment) -> list[Alarm]:
    """What is wrong with one EVSE."""
    if commitment.silent:
        return [
            Alarm(
                code=AlarmCode.CHARGER_SILENT,
                severity=Severity.ALARM,
                id=evse,
                text=f"{evse} does not answer; counted with {commitment.committed_a:.1f} A",
                data={"counted_a": commitment.committed_a},
            )
        ]
    if commitment.blind:
        return [
            Alarm(
                code=AlarmCode.CHARGER_WITHOUT_DATA,
                severity=Severity.ALARM,
                id=evse,
                text=f"{evse} answers, but not with its current; counted by what it was told",
                data={"counted_a": commitment.committed_a},
            )
        ]
    measured_a, held_a = commitment.measured_a, commitment.held_a
    if measured_a is None or not is_alarming(commitment):
        return []
    return [
        Alarm(
            code=AlarmCode.EXCEEDS_SETPOINT,
            severity=Severity.WARNING,
            id=evse,
            text=f"{evse} draws more than it was told",
            data={"measured_a": measured_a, "told_a": commitment.in_force_a, "held_a": held_a},
        )
    ]


def _where(node: NodeId, row: int) -> str:
    if row == VA_ROW:
        return f"{node} in VA"
    return f"{node} L{row + 1}" if row < VA_ROW else f"{node} primary L{row - PRIMARY + 1}"


def row_id(row: int) -> str:
    """Name a row in ids and messages: `1`, `va`, `primary.1`."""
    return ROWS[row] if row <= VA_ROW else f"primary.{row - PRIMARY + 1}"


def _row_alarms(
    node: NodeId,
    row: int,
    *,
    ceiling: float,
    measured: float | None,
    account: float,
    deficit: float,
) -> list[Alarm]:
    over = OVER + OVER_SHARE * ceiling
    unit = "va" if row == VA_ROW else "a"
    where = _where(node, row)
    data: dict[str, int | float | str] = {f"ceiling_{unit}": ceiling}
    if row < VA_ROW:
        data["phase"] = row + 1
    elif row >= PRIMARY:
        data |= {"phase": row - PRIMARY + 1, "side": "primary"}
    found: list[tuple[AlarmCode, Severity, str, str, float]] = []
    if measured is not None and measured > ceiling + over:
        text = f"{where} draws more than its ceiling"
        found.append((AlarmCode.OVER_CEILING, Severity.ALARM, text, "measured", measured))
    elif account > ceiling + over:
        text = f"{where} may be drawing more than its ceiling"
        found.append((AlarmCode.ACCOUNT_OVER_CEILING, Severity.WARNING, text, "account", account))
    if deficit > over:
        text = f"base load alone is above the ceiling of {where}"
        found.append((AlarmCode.BASE_OVER_CEILING, Severity.ALARM, text, "deficit", deficit))
    return [
        Alarm(
            code=code,
            severity=severity,
            id=f"{node}.{row_id(row)}",
            text=text,
            data=data | {f"{name}_{unit}": value},
        )
        for code, severity, text, name, value in found
    ]
