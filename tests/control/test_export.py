"""Ceilings of what is fed back: the least holds, its holder is said, and so is an excess."""

from dataclasses import replace

import pytest

from edgectl.control.export import EXCESS_S
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Decision, ExportDecision
from edgectl.model.reading import VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import Node, Sees
from edgectl.units import OptionalTriple
from tests.control.world import GRID, UTC0_S, World, evse, site

EVENT = Holder(Rank.UTILITY_MANDATORY, "event", "evt")


def world(
    *,
    limit_va: float | None = None,
    limit_a: OptionalTriple = (None, None, None),
    **changes: object,
) -> World:
    node = Node(
        id=GRID,
        parent=None,
        limit_a=(100.0,) * 3,
        export_limit_a=limit_a,
        export_limit_va=limit_va,
        **changes,  # type: ignore[arg-type]
    )
    return World(site=site(evses=[evse(1)], nodes=[node]))


def asked(**export: object) -> TimedCeiling:
    return TimedCeiling(
        holder=EVENT,
        reason="test",
        from_utc_s=UTC0_S,
        until_utc_s=None,
        node=GRID,
        **export,  # type: ignore[arg-type]
    )


def feeds(one: World, *amps: float, seconds: int = 0) -> Decision:
    """The sun feeds back so many amperes on L1, L2, L3 (below 0: drawn), for some seconds."""
    decision = None
    for _ in range(seconds + 1):
        one.wait(1.0)
        one.reads("e1", 0.0)
        one.vehicle("e1", VehicleState.ABSENT)
        three = (*amps, 0.0, 0.0)[:3]
        one.meter(
            *(abs(a) for a in three),
            power_w=(-230.0 * three[0], -230.0 * three[1], -230.0 * three[2]),
            voltage_v=(230.0,) * 3,
        )
        decision = one.step()
    assert decision is not None
    return decision


def export(decision: Decision) -> ExportDecision:
    return decision.exports[GRID]


def alarms(decision: Decision) -> list[Alarm]:
    return [a for a in decision.alarms if a.code is AlarmCode.EXPORT_OVER_CEILING]


def test_without_a_limit_there_is_nothing_to_say() -> None:
    assert feeds(world(), 50.0).exports == {}


@pytest.mark.parametrize(
    ("limit_va", "event_w", "holds_w", "holder"),
    [
        (10_000.0, None, 10_000.0, "limit"),
        (None, 6_000.0, 6_000.0, "event"),
        (10_000.0, 6_000.0, 6_000.0, "event"),
        (5_000.0, 6_000.0, 5_000.0, "limit"),
        (10_000.0, 0.0, 0.0, "event"),
    ],
)
def test_s17_the_least_of_limit_and_event_holds(
    limit_va: float | None, event_w: float | None, holds_w: float, holder: str
) -> None:
    one = world(limit_va=limit_va)
    one.ceilings = () if event_w is None else (asked(export_w=event_w),)
    found = export(feeds(one, 1.0))
    assert (found.ceiling_w, found.ceiling_va) == (holds_w, limit_va)
    assert (found.holder_w.kind, found.holder.kind) == (holder, holder)


def test_s17_with_its_rule_off_what_comes_last_holds() -> None:
    one = world(limit_va=5_000.0)
    one.rules = Rules(s17_ladder=False)
    one.ceilings = (asked(export_w=6_000.0),)
    assert export(feeds(one, 1.0)).ceiling_w == 6_000.0


def test_phases_have_ceilings_of_their_own() -> None:
    one = world(limit_a=(10.0, None, 10.0))
    one.ceilings = (asked(export_a=(None, 4.0, 12.0)),)
    found = export(feeds(one, 3.0, -5.0, 0.0))
    assert found.ceiling_a == (10.0, 4.0, 10.0)
    assert [holder.kind for holder in found.holder_a] == ["limit", "event", "limit"]
    assert found.fed_a == (3.0, 0.0, 0.0)
    assert found.fed_w == 0.0, "the sum draws 2 A"


def test_an_excess_is_said_once_it_lasts_and_no_longer_than_it_does() -> None:
    one = world(limit_va=2_300.0)
    assert alarms(feeds(one, 11.0, seconds=int(EXCESS_S) - 1)) == []
    (alarm,) = alarms(feeds(one, 11.0))
    assert alarm.id == GRID
    assert alarm.data == {"measured_w": 2_530.0, "ceiling_w": 2_300.0}
    assert alarms(feeds(one, 10.0)) == []
    assert alarms(feeds(one, 11.0)) == [], "it begins anew"


@pytest.mark.parametrize("amps", [(0.4,), (0.4, -20.0)])
def test_a_limit_of_0_bears_the_noise_of_a_meter(amps: tuple[float, ...]) -> None:
    one = world()
    one.ceilings = (asked(export_w=0.0),)
    assert alarms(feeds(one, *amps, seconds=60)) == []


def bounded(row: str, limit_a: float, limit_w: float) -> World:
    """One of its rows has a ceiling: an event's of net power, or its own."""
    if row == "w":
        one = world()
        one.ceilings = (asked(export_w=limit_w),)
        return one
    return world(limit_va=limit_w) if row == "va" else world(limit_a=(limit_a,) * 3)


@pytest.mark.parametrize("row", ["w", "va", "a"])
def test_half_an_ampere_of_the_nominal_voltage_is_borne_on_every_row(row: str) -> None:
    one = bounded(row, 0.0, 0.0)
    assert alarms(feeds(one, 0.5, seconds=60)) == [], "115 W, 115 VA"
    assert len(alarms(feeds(one, 0.51, seconds=60))) == 1


@pytest.mark.parametrize("row", ["w", "va", "a"])
def test_a_hundredth_of_a_ceiling_is_borne_on_every_row(row: str) -> None:
    one = bounded(row, 100.0, 23_000.0)
    assert alarms(feeds(one, 100.9, seconds=60)) == []
    assert len(alarms(feeds(one, 101.1, seconds=60))) == 1


def test_net_power_counts_for_the_utility_and_apparent_power_for_the_connection() -> None:
    """11 A fed back on L1, 11 A drawn on L2: nothing for a net meter, 2.5 kVA for the line."""
    one = world()
    one.ceilings = (asked(export_w=0.0),)
    assert alarms(feeds(one, 11.0, -11.0, seconds=60)) == []
    (alarm,) = alarms(feeds(world(limit_va=2_300.0), 11.0, -11.0, seconds=60))
    assert set(alarm.data) == {"measured_va", "ceiling_va"}


def test_what_is_not_measured_raises_and_ends_no_alarm() -> None:
    one = world(limit_va=2_300.0)
    feeds(one, 11.0, seconds=20)
    one.wait(40.0)
    blind = one.step()
    assert (export(blind).fed_w, alarms(blind)) == (None, [])
    assert alarms(feeds(one, 11.0)), "it was above all the time as far as anybody knows"


def test_a_meter_that_sees_a_part_says_nothing_of_the_whole() -> None:
    one = world(limit_va=2_300.0)
    (meter,) = one.site.meters
    one.site = replace(one.site, meters=(replace(meter, sees=Sees.BASE_ONLY),))
    found = feeds(one, 11.0, seconds=60)
    assert (export(found).fed_w, alarms(found)) == (None, [])


def test_it_takes_nothing_from_a_charger() -> None:
    one, free = world(limit_va=0.0), world()
    settled = [w.settle(10.0, {"e1": 20.0}) for w in (one, free)]
    assert settled[0].evses == settled[1].evses
