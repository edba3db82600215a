"""What is checked before anything is told (S12), and what is told where that fails (S18)."""

from dataclasses import replace

import pytest

from edgectl.control.account import Commitment
from edgectl.control.shape import Shaped
from edgectl.control.share import share
from edgectl.control.verify import promise_rows, safe_decision, verify
from edgectl.errors import InvariantBroken
from edgectl.model.snapshot import Confirmed, EvseView, Sent
from edgectl.model.state import EvseState, State
from edgectl.units import EvseId
from tests.control.test_shape import holds
from tests.control.world import TRAITS, World, evse, site

TRAITS_OF_ALL = replace(TRAITS, pause_a=1.0)
SILENT = holds(10.0, 32.0, silent=True)


def checks(told_a: tuple[float, ...], held: tuple[Commitment, ...], row_a: float) -> None:
    """e1 and e2 hang on L1 and e3 on L2; L1 bears 98 A, and `row_a` is promised there."""
    phases = ((1,), (1,), (2,))
    evses = [evse(n, phases=p, traits=TRAITS_OF_ALL) for n, p in enumerate(phases, 1)]
    situation = replace(World(site(evses=evses)).situation(), commitments=held)
    shaped = tuple(Shaped(a) for a in told_a)
    verify(situation, share(situation), shaped, [[row_a, 20.0, 0.0, 0.0]])


TEN = (holds(10.0),) * 3


@pytest.mark.parametrize(
    ("told_a", "held"),
    [
        ((6.0, 6.0, 32.0), TEN),
        ((1.0, 6.0, 10.0), TEN),
        ((6.0, 0.0, 10.0), (holds(10.0), holds(0.0), holds(10.0))),
        ((20.0, 6.0, 10.0), (SILENT, holds(10.0), holds(10.0))),
    ],
)
def test_s12_in_a_row_that_is_over_whoever_loads_it_is_at_its_minimum_and_not_raised(
    told_a: tuple[float, ...], held: tuple[Commitment, ...]
) -> None:
    checks(told_a, held, 98.1)


@pytest.mark.parametrize(
    ("told_a", "held", "who"),
    [
        ((6.1, 6.0, 10.0), TEN, "e1 is told 6.1 A"),
        ((6.0, 10.0, 10.0), TEN, "e2 is told 10 A"),
        ((6.0, 6.0, 10.0), (holds(10.0), holds(1.0), holds(10.0)), "e2 is told 6 A"),
        ((6.0, 9.0, 10.0), (SILENT, holds(10.0), holds(10.0)), "e2 is told 9 A"),
    ],
)
def test_s12_who_is_above_that_breaks_the_promise(
    told_a: tuple[float, ...], held: tuple[Commitment, ...], who: str
) -> None:
    with pytest.raises(InvariantBroken, match=f"row 1 promises 98.1, above 98, and {who}"):
        checks(told_a, held, 98.1)
    checks(told_a, held, 98.0)


@pytest.mark.parametrize("told_a", [1.0, 6.0, 32.0, 3.0])
def test_s12_a_setpoint_is_in_the_range_or_the_pause_value_or_what_is_in_force(
    told_a: float,
) -> None:
    checks((told_a, 6.0, 6.0), (holds(3.0), *TEN[1:]), 50.0)


@pytest.mark.parametrize("told_a", [0.0, 2.0, 5.9, 32.1])
def test_s12_any_other_setpoint_is_none(told_a: float) -> None:
    with pytest.raises(InvariantBroken, match="e1 is told"):
        checks((told_a, 6.0, 6.0), (holds(3.0), *TEN[1:]), 50.0)


def test_s12_what_is_promised_is_base_load_the_silent_and_what_the_others_are_told() -> None:
    """e1 is silent and counts 32 A on L1; e2 draws 3 A beyond the 10 A that it is told there."""
    evses = [evse(1), evse(2), evse(3, phases=(2, 3))]
    world = World(site(evses=evses, meters=[], base_max_a=(5.0, 6.0, 7.0)))
    exceeds = replace(holds(10.0, 13.0), excess_a=3.0)
    held = (SILENT, exceeds, holds(8.0))
    situation = replace(world.situation(), commitments=held)
    (row,) = promise_rows(situation, share(situation), (20.0, 10.0, 8.0))
    shown_v = 230.0 * 1.1
    assert row == pytest.approx([50.0, 14.0, 15.0, 79.0 * shown_v])


@pytest.mark.parametrize(
    ("confirmed_a", "sent_a", "failsafe_a", "safe_a"),
    [
        (16.0, (), 6.0, 6.0),
        (16.0, (), 8.0, 8.0),
        (7.0, (), 8.0, 7.0),
        (16.0, (7.0, 20.0), 8.0, 7.0),
        (16.0, (10.0,), 12.0, 10.0),
        (7.0, (20.0,), 12.0, 7.0),
        # Below its minimum it pauses, unless it holds less than that already.
        (16.0, (), 5.0, 1.0),
        (0.0, (), 6.0, 0.0),
        (16.0, (0.5,), 6.0, 0.5),
        (None, (), 6.0, 6.0),
    ],
)
def test_s18_the_safe_decision_is_the_least_that_may_be_in_force_or_the_failsafe_current(
    confirmed_a: float | None, sent_a: tuple[float, ...], failsafe_a: float, safe_a: float
) -> None:
    world = World(site(evses=[evse(1, traits=replace(TRAITS_OF_ALL, failsafe_a=failsafe_a))]))
    id_, at_s = EvseId("e1"), world.now_s
    world.evses[id_] = EvseView(
        last_answer_s=at_s,
        confirmed=None if confirmed_a is None else Confirmed(confirmed_a, at_s, at_s),
        sent=tuple(Sent(a, at_s) for a in sent_a),
    )
    state = State(started_s=0.0, evses={id_: EvseState(held_a=32.0, setpoint_a=16.0)})
    decision = safe_decision(world.snapshot(), state, world.instant())
    assert decision.safe
    assert (decision.evses[id_].setpoint_a, decision.evses[id_].allocation_a) == (safe_a, safe_a)
