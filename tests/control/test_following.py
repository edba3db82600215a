"""What counts of one EVSE: read in time, weighed or not, told less than it holds, or silent."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.clock import Instant
from edgectl.control.account import Commitment, commit, trusted_meters
from edgectl.model.reading import EvseSample, MeterSample
from edgectl.model.rules import Rules
from edgectl.model.site import ChargerTraits, KeepAlive
from edgectl.model.snapshot import Confirmed, EvseView, MeterView, Sent, Snapshot
from edgectl.model.state import BaseState, EvseState, MeterRun, State
from tests.control.world import M_GRID, TRAITS, UTC0_S, evse, site

NOW_S = 1000.0
TOLD_A = st.sampled_from([0.0, 6.0, 16.0])
AMPERES = st.sampled_from([0.0, 0.2, 5.9, 6.0, 6.1, 8.5, 15.0, 16.0, 16.01, 20.0])
AGES_S = st.sampled_from([0.0, 0.4, 1.5, 4.0, 12.0])
OFFSET_A = 2.0
"""Nobody further above its setpoint follows it, or will follow the next one."""


def shown(age_s: float) -> MeterView:
    return MeterView((MeterSample(NOW_S - age_s, (1.0, 1.0, 1.0)),))


def committed(
    view: EvseView, traits: ChargerTraits, known: EvseState, *, metered: bool = False
) -> Commitment:
    """What counts now; `metered`: a meter shows what the charger draws."""
    depot = site(evses=[evse(1, traits=traits)])
    id_ = depot.evses[0].id
    meters = {M_GRID: shown(0.0)} if metered else {}
    (one,) = commit(
        Snapshot(site=depot, meters=meters, evses={id_: view}),
        State(started_s=0.0, evses={id_: known}),
        Instant(NOW_S, UTC0_S, utc_trusted=True),
        Rules(),
    )
    return one


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
    one = committed(view, traits, known)

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


@pytest.mark.parametrize(
    ("drawn_a", "excess_a"), [((4.0, 4.0), 0.0), ((6.0, 6.0), 0.0), ((9.0, 8.0), 2.0)]
)
def test_who_was_told_less_than_it_holds_exceeds_by_what_it_draws_above_that(
    drawn_a: tuple[float, float], excess_a: float
) -> None:
    """Told 6 A after 16 A, it was seen to hold 10 A."""
    view = EvseView(
        samples=tuple(EvseSample(NOW_S - 1.0 + k, (a, None, None)) for k, a in enumerate(drawn_a)),
        last_answer_s=NOW_S,
        confirmed=Confirmed(16.0, sent_s=NOW_S - 60.0, confirmed_s=NOW_S - 60.0),
        sent=(Sent(6.0, NOW_S - 30.0), Sent(10.0, NOW_S - 20.0)),
    )
    one = committed(view, TRAITS, EvseState(held_a=16.0, setpoint_a=6.0))
    assert (one.in_force_a, one.held_a, one.excess_a) == (6.0, 16.0, excess_a)


@pytest.mark.parametrize(("poll_s", "silent_after_s"), [(1.0, 5.0), (2.0, 6.0), (10.0, 30.0)])
def test_s9_three_polls_without_an_answer_and_5_s_are_silence(
    poll_s: float, silent_after_s: float
) -> None:
    view = EvseView(confirmed=Confirmed(16.0, sent_s=0.0, confirmed_s=0.0))
    traits, known = replace(TRAITS, poll_s=poll_s), EvseState(held_a=16.0, setpoint_a=16.0)
    silent = [
        committed(replace(view, last_answer_s=NOW_S - age_s), traits, known).silent
        for age_s in (0.0, silent_after_s, silent_after_s + 0.5)
    ]
    assert silent == [False, False, True]


@pytest.mark.parametrize(
    ("keepalive", "watchdog_s", "fired_s"),
    [
        (KeepAlive.REWRITE, 60.0, 70.0),
        (KeepAlive.LIFE_BIT, 1.0, 11.0),
        (KeepAlive.REWRITE, 0.0, None),
        (KeepAlive.REWRITE, None, None),
        (KeepAlive.NONE, 60.0, None),
    ],
)
def test_s9_a_silent_charger_counts_with_its_failsafe_current_once_its_watchdog_fired(
    keepalive: KeepAlive, watchdog_s: float | None, fired_s: float | None
) -> None:
    """It settles in 10 s, and was last told 16 A; its failsafe current is 6 A."""
    traits = replace(TRAITS, keepalive=keepalive, watchdog_s=watchdog_s, boot_a=6.0)
    for feed_age_s in (6.0, 10.5, 11.0, 69.5, 70.0, 900.0):
        fed_s = NOW_S - feed_age_s
        view = EvseView(
            last_answer_s=fed_s,
            last_feed_s=fed_s,
            confirmed=Confirmed(16.0, sent_s=fed_s - 60.0, confirmed_s=fed_s - 60.0),
        )
        one = committed(view, traits, EvseState(held_a=16.0, setpoint_a=16.0))
        fell = fired_s is not None and feed_age_s >= fired_s
        assert (one.silent, one.committed_a) == (True, 6.0 if fell else 16.0)


@pytest.mark.parametrize(
    ("told_a", "told_ago_s", "read_a", "refresh_s", "held_a"),
    [
        # Told down from 32 A and seen above that: within half an ampere or 3 % it has followed.
        (16.0, 5.0, (32.0, 24.0, 16.5), 0.0, 16.0),
        (16.0, 5.0, (32.0, 24.0, 16.6), 0.0, 32.0),
        (20.0, 5.0, (32.0, 24.0, 20.6), 0.0, 20.0),
        (20.0, 5.0, (32.0, 24.0, 20.7), 0.0, 32.0),
        # Who was not seen above it may be on the way up, for as long as it has to settle.
        (16.0, 9.5, (10.0, 10.0), 0.0, 32.0),
        (16.0, 10.0, (10.0, 10.0), 0.0, 16.0),
        (0.0, 5.5, (0.0, 0.0), 0.0, 32.0),
        (0.0, 6.0, (0.0, 0.0), 0.0, 0.0),
        # What the charger shows may be as old as its refresh time.
        (16.0, 2.0, (32.0, 16.0), 2.0, 16.0),
        (16.0, 2.0, (32.0, 16.0), 2.5, 32.0),
        # An offset of up to 2 A, shown by two readings after it had its time, holds nobody back.
        (16.0, 11.0, (18.0, 18.0), 0.0, 16.0),
        (16.0, 10.9, (18.0, 18.0), 0.0, 32.0),
        (16.0, 11.0, (18.1, 18.1), 0.0, 32.0),
        (16.0, 11.0, (18.0, 18.1), 0.0, 16.0),
        # A raise counts at once.
        (32.0, 0.0, (10.0, 10.0), 0.0, 32.0),
        (40.0, 0.0, (10.0, 10.0), 0.0, 40.0),
    ],
)
def test_s8_a_decrease_counts_once_it_was_followed(
    told_a: float, told_ago_s: float, read_a: tuple[float, ...], refresh_s: float, held_a: float
) -> None:
    told_s = NOW_S - told_ago_s
    view = EvseView(
        samples=tuple(
            EvseSample(NOW_S - k, (a, None, None))
            for k, a in zip(reversed(range(len(read_a))), read_a, strict=True)
        ),
        last_answer_s=NOW_S,
        confirmed=Confirmed(told_a, sent_s=told_s, confirmed_s=told_s),
    )
    traits = replace(TRAITS, refresh_s=refresh_s)
    one = committed(view, traits, EvseState(held_a=32.0, setpoint_a=told_a))
    assert (one.held_a, one.in_force_a) == (held_a, told_a)
    assert one.committed_a == max(held_a, read_a[-1])


@pytest.mark.parametrize(
    ("confirmed_a", "sent_a", "held_a", "in_force_a"),
    [
        (16.0, (), 16.0, 16.0),
        (16.0, (20.0,), 20.0, 20.0),
        (16.0, (20.0, 10.0), 20.0, 10.0),
        (16.0, (10.0,), 16.0, 10.0),
        (None, (), 32.0, 32.0),
        (None, (10.0,), 32.0, 10.0),
        (None, (40.0, 10.0), 40.0, 10.0),
    ],
)
def test_s8_what_was_sent_counts_until_less_was_confirmed(
    confirmed_a: float | None, sent_a: tuple[float, ...], held_a: float, in_force_a: float
) -> None:
    long_ago_s = NOW_S - 60.0
    view = EvseView(
        samples=(EvseSample(NOW_S - 1.0, (5.0,) * 3), EvseSample(NOW_S, (5.0,) * 3)),
        last_answer_s=NOW_S,
        confirmed=None if confirmed_a is None else Confirmed(confirmed_a, long_ago_s, long_ago_s),
        sent=tuple(Sent(a, NOW_S - 2.0) for a in sent_a),
    )
    one = committed(view, TRAITS, EvseState(held_a=32.0, setpoint_a=in_force_a))
    assert (one.held_a, one.in_force_a) == (held_a, in_force_a)


@pytest.mark.parametrize(
    ("metered", "told_ago_s", "held_a"),
    [(False, 9.5, 32.0), (False, 10.0, 16.0), (True, 14.5, 32.0), (True, 15.0, 16.0)],
)
def test_s8_without_a_current_a_decrease_counts_by_time(
    told_ago_s: float, held_a: float, *, metered: bool
) -> None:
    """Who should measure is waited for as long as a reading may be missing: 15 s."""
    told_s = NOW_S - told_ago_s
    view = EvseView(last_answer_s=NOW_S, confirmed=Confirmed(16.0, told_s, told_s))
    traits = replace(TRAITS, metered=metered)
    one = committed(view, traits, EvseState(held_a=32.0, setpoint_a=16.0))
    assert (one.held_a, one.committed_a, one.measured_a) == (held_a, held_a, None)
    assert one.blind is (metered and told_ago_s >= 15.0)


@pytest.mark.parametrize(
    ("read_a", "before_a", "excess_a"),
    [
        ((34.0, 34.0), 0.0, 0.0),
        ((34.5, 34.5), 0.0, 18.5),
        ((40.0, 34.0), 0.0, 0.0),
        ((20.0, 20.0), 1.0, 1.0),
        ((20.0, 20.0), 2.5, 4.0),
        ((17.0, 17.0), 3.0, 3.0),
        ((2.0, 2.0), 3.0, 2.0),
    ],
)
def test_who_is_far_above_all_that_still_counts_follows_nothing(
    read_a: tuple[float, float], before_a: float, excess_a: float
) -> None:
    """Told 16 A after 32 A a moment ago: `before_a` is what it was known to exceed by."""
    view = EvseView(
        samples=tuple(EvseSample(NOW_S - 1.0 + k, (a, None, None)) for k, a in enumerate(read_a)),
        last_answer_s=NOW_S,
        confirmed=Confirmed(16.0, sent_s=NOW_S - 3.0, confirmed_s=NOW_S - 3.0),
    )
    known = EvseState(held_a=32.0, setpoint_a=16.0, excess_a=before_a)
    assert committed(view, TRAITS, known).excess_a == pytest.approx(excess_a)


@pytest.mark.parametrize(
    ("read_a", "before_a", "excess_a"),
    [
        (16.0, 0.2, 0.0),
        (16.9, 1.0, 1.0),
        (16.8, 1.0, 1.0),
        (16.75, 1.0, 0.75),
        (17.1, 1.0, 1.1),
        (18.9, 3.0, 3.0),
        (18.5, 3.0, 2.5),
        (12.0, 3.0, 0.0),
    ],
)
def test_an_excess_that_is_settled_is_not_less_for_less_than_a_quarter_of_an_ampere(
    read_a: float, before_a: float, excess_a: float
) -> None:
    """Told 16 A a minute ago."""
    view = EvseView(
        samples=tuple(EvseSample(NOW_S - 1.0 + k, (read_a, None, None)) for k in range(2)),
        last_answer_s=NOW_S,
        confirmed=Confirmed(16.0, sent_s=NOW_S - 60.0, confirmed_s=NOW_S - 60.0),
    )
    known = EvseState(held_a=16.0, setpoint_a=16.0, excess_a=before_a)
    assert committed(view, TRAITS, known).excess_a == pytest.approx(excess_a)


@pytest.mark.parametrize("told_a", [16.0, 0.0])
def test_a_reading_without_a_current_shows_nothing(told_a: float) -> None:
    view = EvseView(
        samples=tuple(EvseSample(NOW_S - 1.0 + k, (None, None, None)) for k in range(2)),
        last_answer_s=NOW_S,
        confirmed=Confirmed(told_a, sent_s=NOW_S - 60.0, confirmed_s=NOW_S - 60.0),
    )
    one = committed(view, TRAITS, EvseState(held_a=told_a, setpoint_a=told_a))
    assert (one.measured_a, one.committed_a, one.excess_a) == (None, told_a, 0.0)


@pytest.mark.parametrize(
    ("told_ago_s", "boot_a", "counts_a", "holds_a"),
    [
        (60.0, 32.0, 16.0, 32.0),
        (60.0, 8.0, 16.0, 16.0),
        (10.0, 32.0, 16.0, 32.0),
        (9.0, 32.0, 20.0, 20.0),
    ],
)
def test_s9_who_comes_back_may_be_on_its_way_down_from_its_boot_current(
    told_ago_s: float, boot_a: float, counts_a: float, holds_a: float
) -> None:
    """It held 20 A and was told 16 A before it fell silent; a meter shows what it draws."""
    told_s = NOW_S - told_ago_s
    view = EvseView(
        last_answer_s=NOW_S - 8.0,
        last_feed_s=NOW_S - 8.0,
        confirmed=Confirmed(16.0, told_s, told_s),
    )
    traits = replace(TRAITS, boot_a=boot_a)
    one = committed(view, traits, EvseState(held_a=20.0, setpoint_a=16.0), metered=True)
    assert (one.silent, one.committed_a, one.held_a) == (True, counts_a, holds_a)


@pytest.mark.parametrize(
    ("age_s", "frozen", "trusted"),
    [(0.0, False, True), (14.5, False, True), (15.0, False, False), (1.0, True, False)],
)
def test_a_meter_shows_who_rebooted_while_it_is_fresh_and_moves(
    age_s: float, *, frozen: bool, trusted: bool
) -> None:
    run = MeterRun(
        (1.0,) * 3, since_s=0.0, least_a=(0.0,) * 3, greatest_a=(9.0,) * 3, frozen=frozen
    )
    found = trusted_meters(
        Snapshot(site=site(evses=[evse(1)]), meters={M_GRID: shown(age_s)}, evses={}),
        State(meters={M_GRID: BaseState((0.0,) * 3, upto_s=0.0, run=run)}),
        Instant(NOW_S, UTC0_S, utc_trusted=True),
    )
    assert found == (frozenset({M_GRID}) if trusted else frozenset())
