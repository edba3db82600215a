"""What the checkers hold for unruly: what an EVSE draws beyond what anybody could know of."""

from dataclasses import replace

import pytest

from edgectl.simulator.faults import Fault, FaultKind
from edgectl.simulator.trial.check_overload import check_overload
from edgectl.simulator.trial.drawn import TRACE_S, Drawn
from edgectl.simulator.trial.evidence import Evidence
from edgectl.simulator.trial.stuck_meters import unknown_spans
from edgectl.simulator.trial.troubles import of_obedience
from tests.trials.handmade import E0, Steps, evidence


def unruly_a(found: Evidence, at_s: float) -> float:
    drawn = Drawn(found, found.site.evses[0])
    return drawn.unruly_a[int(at_s / TRACE_S)]


def without_measurement(found: Evidence) -> Evidence:
    e0, e1 = found.site.evses
    blind = replace(e0, traits=replace(e0.traits, metered=False))
    return replace(found, site=replace(found.site, evses=(blind, e1)))


LOWERED: Steps = [(0.0, 10.0), (100.0, 6.0)]
DRAWS_AGAIN: Steps = [(0.0, 10.0), (103.0, 6.0), (106.0, 12.0), (130.0, 6.0)]


def test_who_has_followed_and_draws_more_again_does_what_nobody_could_foresee() -> None:
    """S8: a decrease counts once a reading showed it; the room may be given away at once."""
    found = evidence(asked=LOWERED, drawn=DRAWS_AGAIN)
    assert unruly_a(found, 102.0) == 0.0
    assert unruly_a(found, 105.0) == 0.0
    assert unruly_a(found, 107.0) == 6.0


def test_the_others_must_make_room_for_it_in_time() -> None:
    (breach, *_) = check_overload(evidence(asked=LOWERED, drawn=DRAWS_AGAIN))
    assert 112.0 < breach.at_s < 130.0


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param([(0.0, 10.0), (110.0, 6.0)], id="it has not followed yet"),
        pytest.param([(0.0, 4.0), (103.0, 9.0), (110.0, 6.0)], id="it was on its way up"),
    ],
)
def test_a_setpoint_counts_until_its_vehicle_must_have_followed(drawn: Steps) -> None:
    found = evidence(asked=LOWERED, drawn=drawn)
    assert max(Drawn(found, found.site.evses[0]).unruly_a) == 0.0


def test_without_readings_a_setpoint_counts_for_the_whole_time() -> None:
    found = without_measurement(evidence(asked=LOWERED, drawn=DRAWS_AGAIN))
    assert unruly_a(found, 107.0) == 12.0 - 10.0


SILENT = Fault(kind=FaultKind.CHARGER_SILENT, id=E0, at_s=95.0, until_s=170.0)
FALLS: Steps = [(0.0, 16.0), (116.0, 6.0)]
EXCEEDS: Steps = [(0.0, 16.0), (118.0, 6.0), (140.0, 11.0)]


@pytest.mark.parametrize(
    ("faults", "at_s", "beyond_a"),
    [
        pytest.param([SILENT], 145.0, 0.0, id="its watchdog need not have fired yet"),
        pytest.param([SILENT], 165.0, 5.0, id="it counts with its failsafe current"),
        pytest.param([], 165.0, 0.0, id="it could be talked to"),
    ],
)
def test_beyond_its_failsafe_current_a_silent_charger_is_unruly(
    faults: list[Fault], at_s: float, beyond_a: float
) -> None:
    """S9: not with what it was asked before it fell silent."""
    found = evidence(asked=[(0.0, 16.0)], drawn=EXCEEDS, limit=FALLS, faults=faults)
    assert unruly_a(found, at_s) == beyond_a


@pytest.mark.parametrize(("stuck_s", "known_by_s"), [(0.0, 120.0), (200.0, 220.0)])
def test_what_another_master_wrote_shows_in_readings_that_move(
    stuck_s: float, known_by_s: float
) -> None:
    """A register that cannot be read speaks through what its vehicle draws, if that is measured."""
    faults = [Fault(kind=FaultKind.OTHER_MASTER, id=E0, at_s=100.0, until_s=101.0, amount_a=16.0)]
    if stuck_s:
        faults.append(Fault(kind=FaultKind.VALUES_STUCK, id=E0, at_s=90.0, until_s=stuck_s))
    found = evidence(
        asked=[(0.0, 0.0)],
        drawn=[(0.0, 0.0), (102.0, 16.0)],
        limit=[(0.0, 0.0), (100.0, 16.0)],
        faults=faults,
    )
    assert not found.site.evses[0].traits.readback
    (span,) = of_obedience(found, found.site.evses[0])
    assert max(stuck_s, 101.0) < span.until_s < known_by_s


@pytest.mark.parametrize(
    ("moves_s", "known"),
    [
        pytest.param(125.0, False, id="before it was asked again"),
        pytest.param(200.0, True, id="after that"),
    ],
)
def test_what_an_evse_moved_from_must_have_been_read(moves_s: float, *, known: bool) -> None:
    """S4: it was silent when its meter stood still, and may have drawn as much already."""
    found = evidence(
        asked=[(0.0, 10.0)],
        drawn=[(0.0, 0.0), (moves_s, 10.0)],
        faults=[
            Fault(kind=FaultKind.METER_STUCK, id="m0", at_s=100.0, until_s=390.0),
            Fault(kind=FaultKind.CHARGER_SILENT, id=E0, at_s=95.0, until_s=105.0),
        ],
    )
    (span,) = unknown_spans(found, found.site.nodes[0], {found.site.nodes[0].id})
    assert (span.until_s < 300.0) is known


@pytest.mark.parametrize(
    ("faults", "at_s", "masked_a"),
    [
        pytest.param([SILENT], 90.0, 0.0, id="it is read"),
        pytest.param([SILENT], 160.0, 6.0, id="it is silent"),
        pytest.param([SILENT], 200.0, 6.0, id="it was not called yet"),
        pytest.param([SILENT], 240.0, 0.0, id="it was called"),
        pytest.param([], 160.0, 0.0, id="it never was silent"),
    ],
)
def test_a_silent_charger_draws_anything_up_to_what_it_counts_with(
    faults: list[Fault], at_s: float, masked_a: float
) -> None:
    """S4: what it does not draw may be base load that has fallen, for all that a meter shows."""
    found = evidence(asked=[(0.0, 6.0)], drawn=[(0.0, 0.0)], faults=faults)
    drawn = Drawn(found, found.site.evses[0])
    assert drawn.masked_a[int(at_s / TRACE_S)] == masked_a


@pytest.mark.parametrize(
    ("faults", "first_s", "last_s"),
    [
        pytest.param([SILENT], 132.0, 160.0, id="silent"),
        pytest.param([], 120.0, 120.0, id="read"),
    ],
)
def test_what_it_then_draws_overloads_no_longer_than_physics_needs(
    faults: list[Fault], first_s: float, last_s: float
) -> None:
    found = evidence(asked=[(0.0, 12.0)], drawn=[(0.0, 0.0), (120.0, 12.0)], faults=faults)
    (breach, *_) = check_overload(found)
    assert first_s <= breach.at_s <= last_s
