"""What a step keeps of an EVSE: what goes on is the same value, and each change is one of its own.

The turn lasts 900 s, and the minimum is 6 A.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from edgectl.control.account import Commitment
from edgectl.control.remember import remember
from edgectl.control.shape import ONCE_MORE, Shaped
from edgectl.control.share import Part, share
from edgectl.model.reading import VehicleState
from edgectl.model.snapshot import EvseView
from edgectl.model.state import DrawState, EvseState, NoDemand, State
from edgectl.units import EvseId
from tests.control.world import World, evse, site

E1 = EvseId("e1")
NOW_S = 10_000.0
IN_TURN_S, PAST_S = NOW_S - 899.0, NOW_S - 900.0

CHARGES = EvseState(
    held_a=16.0,
    setpoint_a=16.0,
    admitted_s=IN_TURN_S,
    asked_s=NOW_S - 2000.0,
    energy_from_wh=100.0,
)
FOLLOWS = Commitment(
    held_a=16.0,
    committed_a=16.0,
    in_force_a=16.0,
    measured_a=16.0,
    silent=False,
    failsafe_a=6.0,
)
VIEW = EvseView(last_answer_s=NOW_S, vehicle=VehicleState.CHARGING, energy_wh=500.0)
TOLD = Shaped(16.0)
SEEN = DrawState(below_s=NOW_S - 30.0)
RESTS = NoDemand(since_s=NOW_S - 10.0)


@dataclass(frozen=True)
class Tick:
    """What a step knows and decides of e1."""

    before: EvseState | None = CHARGES
    view: EvseView = VIEW
    commitment: Commitment = FOLLOWS
    shaped: Shaped = TOLD
    draw: DrawState | None = None
    no_demand: NoDemand | None = None
    takes_part: bool = True
    behind: bool = False
    band: int | None = None

    def kept(self) -> EvseState:
        world = World(site(evses=[evse(1)]), now_s=NOW_S, evses={E1: self.view})
        world.state = State(started_s=0.0, evses={} if self.before is None else {E1: self.before})
        situation = replace(
            world.situation(),
            commitments=(self.commitment,),
            draws=(self.draw,),
            no_demand=(self.no_demand,),
        )
        shared = share(situation)
        ranks = replace(
            shared.ranks,
            band=None if self.band is None else (self.band,),
            behind=frozenset({0} if self.behind else ()),
        )
        part = Part(takes_part=self.takes_part)
        return remember(situation, replace(shared, parts=(part,), ranks=ranks), (self.shaped,))[E1]


def with_state(**changes: Any) -> EvseState:
    return replace(CHARGES, **changes)


def seen(vehicle: VehicleState, **changes: Any) -> EvseView:
    return replace(VIEW, vehicle=vehicle, **changes)


def test_who_goes_on_as_it_did_is_the_same_value() -> None:
    assert Tick().kept() is CHARGES
    waits = with_state(setpoint_a=0.0, held_a=0.0, admitted_s=None)
    still = replace(FOLLOWS, held_a=0.0)
    assert Tick(before=waits, commitment=still, shaped=Shaped(0.0)).kept() is waits
    silent = replace(FOLLOWS, silent=True)
    assert Tick(commitment=silent).kept() is CHARGES


@pytest.mark.parametrize(
    ("tick", "changes"),
    [
        (Tick(shaped=Shaped(12.0)), {"setpoint_a": 12.0}),
        (Tick(shaped=Shaped(6.0)), {"setpoint_a": 6.0}),
        (Tick(commitment=replace(FOLLOWS, held_a=18.0)), {"held_a": 18.0}),
        (Tick(commitment=replace(FOLLOWS, excess_a=1.5)), {"excess_a": 1.5}),
        (Tick(shaped=Shaped(16.0, wants_raise=True)), {"raise_s": NOW_S}),
        (Tick(before=with_state(raise_s=NOW_S - 3.0)), {"raise_s": None}),
        (
            Tick(before=with_state(raise_s=NOW_S - 3.0), shaped=Shaped(12.0, wants_raise=True)),
            {"setpoint_a": 12.0, "raise_s": NOW_S - 3.0},
        ),
        (Tick(draw=SEEN), {"draw": SEEN}),
        (Tick(before=with_state(draw=SEEN)), {"draw": None}),
        (Tick(no_demand=RESTS), {"no_demand": RESTS}),
        (Tick(band=3), {"band": 3}),
        (Tick(before=with_state(admitted_s=None)), {"admitted_s": NOW_S}),
        (Tick(before=with_state(asked_s=None)), {"asked_s": NOW_S}),
        (Tick(before=with_state(stopped_s=NOW_S - 5.0)), {"stopped_s": None}),
        (Tick(before=with_state(resumes=True)), {"resumes": False}),
        (
            Tick(before=with_state(resumes=True), shaped=Shaped(6.0)),
            {"setpoint_a": 6.0, "resumes": False},
        ),
        (Tick(before=with_state(energy_from_wh=None)), {"energy_from_wh": 500.0}),
    ],
)
def test_each_change_is_kept_and_nothing_else_moves(tick: Tick, changes: dict[str, Any]) -> None:
    assert tick.before is not None
    assert tick.kept() == replace(tick.before, **changes)


@pytest.mark.parametrize(
    ("admitted_s", "displaced", "becomes"),
    [
        (IN_TURN_S, 5, 5),
        (PAST_S, 5, ONCE_MORE),
        (PAST_S, ONCE_MORE, ONCE_MORE),
        (PAST_S, 1, 1),
    ],
)
def test_a_whole_turn_takes_back_what_made_it_wait(
    admitted_s: float, displaced: int, becomes: int
) -> None:
    before = with_state(admitted_s=admitted_s, displaced=displaced)
    assert Tick(before=before).kept() == replace(before, displaced=becomes)


@pytest.mark.parametrize(
    ("admitted_s", "displaced", "changes", "tick"),
    [
        # Within its turn it keeps its place, and room was wanting.
        (IN_TURN_S, 0, {"displaced": 1}, {}),
        (IN_TURN_S, 4, {"displaced": 5}, {}),
        # The end of a turn is no want of room, but for whom that stopped before.
        (PAST_S, 0, {"asked_s": NOW_S}, {}),
        (PAST_S, 1, {"asked_s": NOW_S}, {}),
        (PAST_S, ONCE_MORE, {"asked_s": NOW_S, "displaced": ONCE_MORE + 1}, {}),
        # A pause, or giving way to others, is no want of room either.
        (IN_TURN_S, 1, {}, {"takes_part": False}),
        (IN_TURN_S, 1, {"asked_s": NOW_S}, {"behind": True}),
    ],
)
def test_who_is_stopped_waits_with_its_place_or_as_the_newest(
    admitted_s: float, displaced: int, changes: dict[str, Any], tick: dict[str, Any]
) -> None:
    before = with_state(admitted_s=admitted_s, displaced=displaced)
    stopped = {"setpoint_a": 0.0, "admitted_s": None, "stopped_s": NOW_S}
    kept = Tick(before=before, shaped=Shaped(0.0), **tick).kept()
    assert kept == replace(before, **{**stopped, **changes})


@pytest.mark.parametrize(
    ("admitted_s", "changes"),
    [(IN_TURN_S, {}), (PAST_S, {"admitted_s": None, "asked_s": NOW_S, "resumes": False})],
)
def test_the_pause_of_a_start_stops_nobody_before_its_turn_is_over(
    admitted_s: float, changes: dict[str, Any]
) -> None:
    before = with_state(admitted_s=admitted_s, resumes=True, displaced=1)
    kept = Tick(before=before, shaped=Shaped(0.0)).kept()
    assert kept == replace(before, setpoint_a=0.0, **changes)


def test_silence_moves_no_timer() -> None:
    silent = replace(FOLLOWS, silent=True)
    kept = Tick(commitment=silent, shaped=Shaped(0.0)).kept()
    assert kept == with_state(setpoint_a=0.0)
    resumes = with_state(resumes=True)
    assert Tick(before=resumes, commitment=silent).kept() is resumes, "it has not charged"


def test_unplugging_forgets_everything_and_a_fault_its_place() -> None:
    before = with_state(displaced=3, stopped_s=NOW_S - 5.0, raise_s=NOW_S - 3.0)

    def without(vehicle: VehicleState, before: EvseState) -> EvseState:
        paused = Tick(before=before, view=seen(vehicle), shaped=Shaped(0.0), takes_part=False)
        return paused.kept()

    gone = EvseState(held_a=16.0, setpoint_a=0.0)
    assert without(VehicleState.ABSENT, before) == gone
    faulty = replace(gone, energy_from_wh=100.0, stopped_s=NOW_S)
    assert without(VehicleState.FAULT, before) == faulty
    waits = with_state(admitted_s=None, stopped_s=NOW_S - 5.0)
    stopped = replace(faulty, stopped_s=NOW_S - 5.0)
    assert without(VehicleState.FAULT, waits) == stopped, "it was stopped before"


@pytest.mark.parametrize("vehicle", [VehicleState.ABSENT, VehicleState.FAULT])
def test_what_is_told_to_charge_without_a_vehicle_has_no_turn(vehicle: VehicleState) -> None:
    assert Tick(view=seen(vehicle)).kept().admitted_s is None


def test_the_first_that_is_known_of_an_evse() -> None:
    assert Tick(before=None).kept() == EvseState(
        held_a=16.0,
        setpoint_a=16.0,
        admitted_s=NOW_S,
        asked_s=NOW_S,
        energy_from_wh=500.0,
    )


@pytest.mark.parametrize(
    ("now", "asked_s"), [(None, NOW_S), (replace(RESTS, until_s=NOW_S + 9.0), CHARGES.asked_s)]
)
def test_who_begins_to_ask_again_is_the_newest(now: NoDemand | None, asked_s: float | None) -> None:
    before = with_state(no_demand=replace(RESTS, until_s=NOW_S + 10.0))
    assert Tick(before=before, no_demand=now).kept() == replace(
        before, no_demand=now, asked_s=asked_s
    )
