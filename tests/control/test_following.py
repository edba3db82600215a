"""The account of one that was read in time is the same whether it needs weighing or not (S8)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edgectl.clock import Instant
from edgectl.control.account import commit
from edgectl.model.reading import EvseSample
from edgectl.model.rules import Rules
from edgectl.model.snapshot import Confirmed, EvseView, Snapshot
from edgectl.model.state import EvseState, State
from tests.control.world import TRAITS, UTC0_S, evse, site

NOW_S = 1000.0
TOLD_A = st.sampled_from([0.0, 6.0, 16.0])
AMPERES = st.sampled_from([0.0, 0.2, 5.9, 6.0, 6.1, 8.5, 15.0, 16.0, 16.01, 20.0])
AGES_S = st.sampled_from([0.0, 0.4, 1.5, 4.0, 12.0])
OFFSET_A = 2.0
"""Nobody further above its setpoint follows it, or will follow the next one."""


@given(
    told_a=TOLD_A,
    told_s=st.sampled_from([1.0, 8.0, 12.0, 60.0]),
    before_a=st.sampled_from([0.0, 0.0, 1.0, 3.0]),
    held_a=TOLD_A,
    readings=st.lists(st.tuples(AGES_S, AMPERES), min_size=1, max_size=3),
    refresh_s=st.sampled_from([0.0, 3.0]),
    failsafe_a=st.sampled_from([None, 7.0]),
)
def test_who_answers_counts_what_it_was_told_or_draws(  # noqa: PLR0917
    told_a: float,
    told_s: float,
    before_a: float,
    held_a: float,
    readings: list[tuple[float, float]],
    refresh_s: float,
    failsafe_a: float | None,
) -> None:
    traits = replace(TRAITS, refresh_s=refresh_s)
    depot = site(evses=[evse(1, traits=traits)])
    id_ = depot.evses[0].id
    readings = sorted(readings, reverse=True)
    samples = tuple(EvseSample(NOW_S - age_s, (a, None, a / 2.0)) for age_s, a in readings)
    sent_s = NOW_S - told_s
    view = EvseView(
        samples=samples,
        last_answer_s=samples[-1].taken_s if readings[-1][0] < 5.0 else NOW_S,
        confirmed=Confirmed(told_a, sent_s=sent_s, confirmed_s=sent_s),
        failsafe_a=failsafe_a,
    )
    known = EvseState(held_a=min(held_a, told_a), setpoint_a=told_a, excess_a=before_a)
    (one,) = commit(
        Snapshot(site=depot, meters={}, evses={id_: view}),
        State(started_s=0.0, evses={id_: known}),
        Instant(NOW_S, UTC0_S, utc_trusted=True),
        Rules(),
    )

    newest_a = readings[-1][1]
    least_a = min(a for _, a in readings[-2:]) if len(readings) > 1 else None
    follows_s = traits.pause_settle_s if told_a < traits.min_a else traits.settle_s
    settled = len(readings) > 1 and samples[-2].taken_s >= sent_s + follows_s + refresh_s
    over_a = max(0.0, (least_a or 0.0) - told_a)
    excess_a = min(before_a, least_a or 0.0)
    if settled:
        little_less = 0.0 < over_a <= before_a < over_a + 0.25
        excess_a = before_a if little_less else over_a
    elif before_a > OFFSET_A or over_a > OFFSET_A:
        excess_a = max(excess_a, over_a)
    assert (one.silent, one.blind) == (False, False)
    assert (one.held_a, one.in_force_a) == (told_a, told_a)
    assert one.committed_a == max(told_a, newest_a)
    assert one.measured_a == newest_a
    assert one.excess_a == excess_a
    above_a = newest_a - excess_a
    assert one.descends is (not settled and above_a > told_a + max(0.5, 0.03 * told_a))
    assert one.failsafe_a == (traits.failsafe_a if failsafe_a is None else failsafe_a)
