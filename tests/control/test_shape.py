"""From allocations to setpoints: what is told at once, what waits, and for which row (S13, S14)."""

from dataclasses import replace

import pytest

from edgectl.control.account import Commitment
from edgectl.control.shape import Shaped, shape
from edgectl.control.share import share
from edgectl.model.site import Connection
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId
from tests.control.world import TRAITS, World, evse, site

NOW_S = 10_000.0
LIMIT_A = 100.0
ROW = (0, 0)
"""The grid's L1."""


def holds(in_force_a: float, committed_a: float | None = None, **changes: bool) -> Commitment:
    """It draws what it was told last; `committed_a`: what counts, where that is more."""
    counts_a = in_force_a if committed_a is None else committed_a
    return replace(
        Commitment(
            held_a=counts_a,
            committed_a=counts_a,
            in_force_a=in_force_a,
            measured_a=in_force_a,
            silent=False,
            failsafe_a=6.0,
        ),
        **changes,
    )


def shaped(
    *each: tuple[Commitment, float],
    known: EvseState | None = None,
    queue: tuple[int, ...] | None = None,
    behind: bool = False,
    step_a: float = 0.0,
    calls_a: tuple[float, ...] = (),
    phasors: bool = False,
) -> tuple[Shaped, ...]:
    """What each EVSE on L1 is told by its allocation; of a ceiling of 100 A without base load.

    `phasors`: one between the two other lines makes them that, and draws nothing.
    """
    traits = replace(TRAITS, step_a=step_a, hardware_max_a=90.0)
    evses = [evse(n, traits=traits, max_a=90.0) for n in range(1, len(each) + 1)]
    if phasors:
        between = {"phases": (2, 3), "connection": Connection.LINE_TO_LINE}
        evses.append(evse(len(evses) + 1, **between))
        each = (*each, (holds(0.0), 0.0))
    world = World(site(evses=evses, base_max_a=(0.0,) * 3), now_s=NOW_S)
    for one in evses:
        world.answers(one.id)
    world.meter(0.0)
    states = {} if known is None else {EvseId("e1"): known}
    world.state = State(started_s=0.0, evses=states)
    situation = replace(world.situation(), commitments=tuple(one for one, _ in each))
    shared = share(situation)
    ranks = replace(
        shared.ranks,
        queue=queue or tuple(range(len(evses))),
        behind=frozenset({0} if behind else ()),
    )
    outcome = replace(shared.outcome, setpoint_a=tuple(a for _, a in each))
    given = replace(shared, ranks=ranks, outcome=outcome)
    return shape(situation, given, calls_a or (0.0,) * len(evses))


def wanted(ago_s: float | None, displaced: int = 0) -> EvseState:
    raise_s = None if ago_s is None else NOW_S - ago_s
    return EvseState(held_a=0.0, setpoint_a=0.0, raise_s=raise_s, displaced=displaced)


@pytest.mark.parametrize("less_a", [9.9, 6.0, 0.0])
def test_s14_a_decrease_is_told_at_once(less_a: float) -> None:
    assert shaped((holds(10.0), less_a), known=wanted(None)) == (Shaped(less_a),)
    assert shaped((holds(10.0, 120.0), less_a)) == (Shaped(less_a),), "in debt above all"


@pytest.mark.parametrize(
    ("to_a", "ago_s", "told_a"),
    [
        (12.0, None, 12.0),
        (11.9, None, 10.0),
        (11.9, 4.5, 10.0),
        (11.9, 5.0, 11.9),
        (30.0, None, 30.0),
    ],
)
def test_a_raise_by_less_than_2_a_is_wanted_for_5_s_first(
    to_a: float, ago_s: float | None, told_a: float
) -> None:
    assert shaped((holds(10.0), to_a), known=wanted(ago_s)) == (Shaped(told_a, None, True),)


@pytest.mark.parametrize(
    ("displaced", "hold_s"), [(2, 30.0), (3, 60.0), (4, 120.0), (6, 480.0), (7, 900.0), (99, 900.0)]
)
def test_who_was_stopped_for_room_starts_once_its_minimum_fitted_for_long(
    displaced: int, hold_s: float
) -> None:
    """Half a minute after the second time, twice as long after each more; a turn at most."""
    for ago_s in (None, 0.0, hold_s - 0.5):
        (one,) = shaped((holds(0.0), 6.0), known=wanted(ago_s, displaced))
        assert one == Shaped(0.0, ROW, wants_raise=True)
    (one,) = shaped((holds(0.0), 6.0), known=wanted(hold_s, displaced))
    assert one == Shaped(6.0, None, wants_raise=True)


@pytest.mark.parametrize("displaced", [0, 1])
def test_who_was_stopped_once_at_most_starts_at_once(displaced: int) -> None:
    assert shaped((holds(0.0), 6.0), known=wanted(None, displaced))[0].setpoint_a == 6.0
    assert shaped((holds(0.0), 6.0))[0].setpoint_a == 6.0, "nothing is known of it"


def test_who_asks_for_nothing_starts_once_it_fitted_for_a_turn() -> None:
    for ago_s, told_a in ((None, 0.0), (899.5, 0.0), (900.0, 6.0)):
        (one,) = shaped((holds(0.0), 6.0), known=wanted(ago_s), behind=True)
        assert one.setpoint_a == told_a


@pytest.mark.parametrize(
    ("others_a", "step_a", "told_a", "held_back_by"),
    [
        # The account leaves 100 A less what all may be drawing, for what is above 10 A.
        (50.0, 0.0, 30.0, None),
        (70.0, 0.0, 30.0, None),
        (75.0, 0.0, 25.0, ROW),
        (75.0, 4.0, 24.0, ROW),
        (80.0, 4.0, 20.0, ROW),
        (90.0, 0.0, 10.0, ROW),
        (90.1, 0.0, 10.0, ROW),
        (120.0, 0.0, 10.0, ROW),
    ],
)
def test_s13_a_raise_goes_as_far_as_the_account_proves_room(
    others_a: float, step_a: float, told_a: float, held_back_by: tuple[int, int] | None
) -> None:
    each = ((holds(10.0), 30.0), (holds(20.0, others_a), 20.0))
    raised, other = shaped(*each, step_a=step_a)
    assert raised == Shaped(told_a, held_back_by, wants_raise=True)
    assert other == Shaped(20.0)
    among_phasors, *_ = shaped(*each, step_a=step_a, phasors=True)
    assert among_phasors.setpoint_a == pytest.approx(told_a)


@pytest.mark.parametrize(
    ("committed_a", "told_a"), [(10.0, 30.0), (20.0, 30.0), (40.0, 30.0), (95.0, 30.0)]
)
def test_what_still_counts_of_its_own_is_no_raise(committed_a: float, told_a: float) -> None:
    """Up to what it may be drawing already it takes no room."""
    assert shaped((holds(10.0, committed_a), 30.0))[0].setpoint_a == told_a


@pytest.mark.parametrize(("room_a", "told_a"), [(6.0, 6.0), (5.9, 0.0), (8.0, 8.0)])
def test_no_start_below_the_minimum(room_a: float, told_a: float) -> None:
    first, _ = shaped((holds(0.0), 30.0), (holds(50.0, LIMIT_A - room_a), 50.0))
    assert first == Shaped(told_a, ROW, wants_raise=True)


@pytest.mark.parametrize("phasors", [False, True])
@pytest.mark.parametrize(
    ("queue", "told_a"), [((0, 1, 2, 3), (25.0, 15.0)), ((1, 0, 2, 3), (20.0, 20.0))]
)
def test_what_one_takes_the_next_has_no_more(
    queue: tuple[int, ...], told_a: tuple[float, float], *, phasors: bool
) -> None:
    """20 A are left: e1 wants 15 A more, e2 10 A."""
    each = ((holds(10.0), 25.0), (holds(10.0), 20.0), (holds(60.0), 60.0), (holds(0.0), 0.0))
    one, two, *_ = shaped(*each, queue=(*queue, 4) if phasors else queue, phasors=phasors)
    assert (one.setpoint_a, two.setpoint_a) == pytest.approx(told_a)


def test_who_is_on_its_way_down_is_not_raised() -> None:
    (one,) = shaped((holds(10.0, 14.0, descends=True), 30.0))
    assert one == Shaped(10.0, None, wants_raise=True)


@pytest.mark.parametrize(
    ("in_force_a", "others_a", "call_a", "called_a"),
    [
        (6.0, 120.0, 6.0, 6.0),
        (0.0, 50.0, 6.0, 6.0),
        (0.0, 68.0, 6.0, 6.0),
        (0.0, 68.1, 6.0, 0.0),
        (10.0, 120.0, 6.0, 6.0),
    ],
)
def test_s13_a_call_into_debt_is_one_with_the_pause_value(
    in_force_a: float, others_a: float, call_a: float, called_a: float
) -> None:
    """It is silent and counts 32 A; the call itself takes nothing."""
    silent = holds(in_force_a, 32.0, silent=True)
    called, _ = shaped((silent, 0.0), (holds(others_a), others_a), calls_a=(call_a, 0.0))
    assert called == Shaped(called_a)
