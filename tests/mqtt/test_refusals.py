"""What becomes of a row that the broker does not take: the rules of `refusals`, one by one."""

import pytest

from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.refusals import SUSPECTS_MAX, Fate, Refusals
from edgectl.model.telemetry import Denial, StoredRow
from tests.mqtt.site import row

PACE = Pace(denied_tries=3, hang_ups_doubted=2, hang_ups_proven=4, probe_every_s=100.0)
EVENT = "p/event"


@pytest.fixture
def refusals() -> Refusals:
    return Refusals(PACE)


def event(seq: int) -> StoredRow:
    return StoredRow(seq=seq, row=row(seq, "event"))


def sample(seq: int) -> StoredRow:
    return StoredRow(seq=seq, row=row(seq, "telemetry"))


def refuse(refusals: Refusals, one: StoredRow, *, times: int) -> None:
    for _ in range(times):
        refusals.note(Denial(topic=EVENT, code=0x87, text="Not authorized"), 0.0, one)
        refusals.refused(one)


def hang_up(refusals: Refusals, one: StoredRow, *, times: int, now_s: float = 0.0) -> None:
    for _ in range(times):
        refusals.hung_up([one], now_s)


def put_out(refusals: Refusals, one: StoredRow, *, now_s: float = 0.0) -> Fate:
    """Ask what is due for a row, and do it."""
    fate = refusals.fate(one, now_s)
    if fate is not Fate.OFFERED:
        refusals.out_of_the_way(one, fate, why=refusals.why(one, EVENT), now_s=now_s)
    return fate


def test_a_row_is_offered_until_it_was_refused_often_enough(refusals: Refusals) -> None:
    assert refusals.refused(event(1)) is False
    assert refusals.refused(event(1)) is False
    assert refusals.fate(event(1), 0.0) is Fate.OFFERED
    assert refusals.refused(event(1)) is True
    assert refusals.fate(event(1), 0.0) is Fate.SET_ASIDE
    assert refusals.fate(event(2), 0.0) is Fate.OFFERED, "each row by itself"


def test_a_topic_of_which_nothing_is_taken_is_closed_with_the_brokers_own_word(
    refusals: Refusals,
) -> None:
    refuse(refusals, event(1), times=3)
    assert put_out(refusals, event(1)) is Fate.SET_ASIDE
    assert refusals.closed() == (("event", "Not authorized (code 135)"),)
    assert not refusals.is_shut("event"), "a refusal costs nothing, so its live rows are sent"


def test_of_a_closed_topic_one_refusal_is_enough_for_the_rows_that_follow(
    refusals: Refusals,
) -> None:
    refuse(refusals, event(1), times=3)
    put_out(refusals, event(1))
    assert refusals.refused(event(2)) is True
    assert put_out(refusals, event(2)) is Fate.SET_ASIDE


def test_a_row_that_is_refused_while_others_of_its_topic_are_taken_is_given_up(
    refusals: Refusals,
) -> None:
    refuse(refusals, event(1), times=2)
    refusals.taken(event(2), EVENT)
    refuse(refusals, event(1), times=1)
    assert put_out(refusals, event(1)) is Fate.GIVEN_UP
    assert refusals.closed() == ()


def test_what_was_taken_before_the_first_refusal_does_not_tell_against_the_row(
    refusals: Refusals,
) -> None:
    refusals.taken(event(1), EVENT)
    refuse(refusals, event(2), times=3)
    assert put_out(refusals, event(2)) is Fate.SET_ASIDE, "the rights may have changed since"


def test_a_topic_of_another_name_proves_nothing(refusals: Refusals) -> None:
    refuse(refusals, event(1), times=2)
    refusals.taken(sample(2), "p/telemetry")
    refuse(refusals, event(1), times=1)
    assert put_out(refusals, event(1)) is Fate.SET_ASIDE


def test_one_row_that_is_taken_opens_its_topic_for_all_that_is_set_aside(
    refusals: Refusals,
) -> None:
    refuse(refusals, event(1), times=3)
    put_out(refusals, event(1))
    assert refusals.opened() == ()
    refusals.taken(event(2), EVENT)
    assert refusals.closed() == ()
    assert refusals.opened() == ("event",)
    assert refusals.denied() == ()
    refusals.moved([(1, 9)])
    assert refusals.fate(event(9), 0.0) is Fate.OFFERED, "a refusal of once is no proof for ever"
    refusals.came_back("event")
    assert refusals.opened() == ()


def test_denied_topics_are_those_of_this_connection(refusals: Refusals) -> None:
    refusals.note(Denial(topic="p/z", code=0x87, text="no"), 0.0)
    refusals.note(Denial(topic="p/a", code=0x87, text="no"), 0.0)
    assert refusals.denied() == ("p/a", "p/z")
    refusals.began()
    assert refusals.denied() == ()


def test_an_end_under_many_rows_tells_against_none_but_lets_each_go_alone(
    refusals: Refusals,
) -> None:
    rows = [event(1), event(2), event(3)]
    for _ in range(10):
        refusals.hung_up(rows, 0.0)
    assert refusals.fate(event(1), 0.0) is Fate.OFFERED
    assert not refusals.needs_calm(event(1))
    assert refusals.together(rows) == [event(1)]
    refusals.taken(event(1), EVENT)
    assert refusals.together([event(4), event(5)]) == [event(4), event(5)]


def test_rows_go_together_only_where_the_topic_was_taken_on_this_connection(
    refusals: Refusals,
) -> None:
    rows = [event(1), event(2), sample(3)]
    assert refusals.together(rows, set()) == [event(1)]
    assert refusals.together(rows, {"event"}) == [event(1), event(2)]
    assert refusals.together(rows, {"event", "telemetry"}) == rows


def test_an_end_soon_after_a_refusal_tells_against_what_was_refused(refusals: Refusals) -> None:
    """mosquitto with `max_queued_messages 0` hangs up on whatever comes after a refusal."""
    denial = Denial(topic=EVENT, code=0x87, text="Not authorized")
    for _ in range(2):
        refusals.began()
        refusals.note(denial, 100.0, event(1))
        refusals.hung_up([sample(2)], 100.1)
    assert not refusals.is_shut("telemetry")
    assert refusals.is_shut("event"), "so that no live row of it ends the connection again"
    refusals.note(denial, 200.0, event(1))
    hang_up(refusals, sample(2), times=4, now_s=231.0)
    assert put_out(refusals, sample(2)) is Fate.SET_ASIDE, "a refusal of long ago is no excuse"


def test_an_end_after_a_refusal_of_no_row_tells_against_no_row(refusals: Refusals) -> None:
    refusals.note(Denial(topic="p/status", code=0x87, text="Not authorized"), 0.0)
    hang_up(refusals, sample(1), times=9)
    assert refusals.fate(sample(1), 0.0) is Fate.OFFERED
    refusals.began()
    hang_up(refusals, sample(1), times=9)
    assert refusals.fate(sample(1), 0.0) is Fate.SET_ASIDE


def test_ends_on_a_lone_row_make_it_doubted_and_then_proven(refusals: Refusals) -> None:
    hang_up(refusals, event(1), times=1)
    assert not refusals.needs_calm(event(1))
    hang_up(refusals, event(1), times=1)
    assert refusals.needs_calm(event(1))
    assert refusals.is_shut("event"), "a live row of it would end the connection"
    assert not refusals.is_shut("telemetry")
    assert refusals.fate(event(1), 0.0) is Fate.OFFERED
    hang_up(refusals, event(1), times=2)
    assert put_out(refusals, event(1)) is Fate.SET_ASIDE
    assert refusals.closed() == (("event", "it ends the connection on what comes there"),)


def test_a_doubted_row_that_is_taken_after_all_is_forgotten(refusals: Refusals) -> None:
    hang_up(refusals, event(1), times=3)
    refusals.taken(event(1), EVENT)
    assert not refusals.is_shut("event")
    hang_up(refusals, event(1), times=1)
    assert not refusals.needs_calm(event(1))


def test_of_a_shut_topic_the_next_row_is_the_witness_and_then_one_an_hour(
    refusals: Refusals,
) -> None:
    hang_up(refusals, event(1), times=4)
    put_out(refusals, event(1), now_s=10.0)
    assert refusals.fate(event(2), 10.0) is Fate.OFFERED
    assert refusals.needs_calm(event(2))
    hang_up(refusals, event(2), times=1, now_s=20.0)
    assert put_out(refusals, event(2), now_s=20.0) is Fate.SET_ASIDE, "one end is enough now"
    assert put_out(refusals, event(3), now_s=119.0) is Fate.SET_ASIDE, "unseen"
    assert refusals.fate(event(4), 120.0) is Fate.OFFERED
    assert refusals.fate(sample(5), 20.0) is Fate.OFFERED, "other topics go on"


def test_a_witness_that_is_taken_tells_against_the_row_that_was_proven(refusals: Refusals) -> None:
    hang_up(refusals, event(1), times=4)
    put_out(refusals, event(1))
    refusals.taken(event(2), EVENT)
    assert not refusals.is_shut("event")
    refusals.moved([(1, 3)])
    assert put_out(refusals, event(3)) is Fate.GIVEN_UP
    assert refusals.closed() == ()


def test_a_witness_that_is_not_taken_clears_the_row_that_was_proven(refusals: Refusals) -> None:
    hang_up(refusals, event(1), times=4)
    put_out(refusals, event(1))
    hang_up(refusals, event(2), times=1, now_s=5.0)
    put_out(refusals, event(2), now_s=5.0)
    refusals.taken(event(3), EVENT)
    refusals.moved([(1, 4), (2, 5)])
    assert refusals.fate(event(4), 200.0) is Fate.OFFERED
    assert refusals.fate(event(5), 200.0) is Fate.OFFERED


def test_a_row_of_the_window_that_is_taken_again_is_no_suspect_any_more(refusals: Refusals) -> None:
    hang_up(refusals, event(1), times=2)
    refusals.cleared(1)
    assert not refusals.needs_calm(event(1))


def test_suspects_are_bounded(refusals: Refusals) -> None:
    refusals.hung_up([event(seq) for seq in range(SUSPECTS_MAX)], 0.0)
    assert refusals.together([event(0), event(1)]) == [event(0)]
    refusals.hung_up([event(SUSPECTS_MAX)], 0.0)
    assert refusals.together([event(0), event(1)]) == [event(0), event(1)]
    assert refusals.together([event(SUSPECTS_MAX), event(1)]) == [event(SUSPECTS_MAX)]
