"""The operator's caps by local time of day, over midnight and over changes of the clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.site import Cap
from edgectl.planning.caps import cap_ceilings
from edgectl.units import NodeId

LA = ZoneInfo("America/Los_Angeles")
BERLIN = ZoneInfo("Europe/Berlin")
WEEK = frozenset(range(7))


def minute(clock: str) -> int:
    hour, left = clock.split(":")
    return int(hour) * 60 + int(left)


def cap(begin: str, end: str, days: frozenset[int] = WEEK, kw: float = 120.0) -> Cap:
    return Cap(
        node=NodeId("grid"),
        limit_w=kw * 1000,
        from_minute=minute(begin),
        to_minute=minute(end),
        days=days,
    )


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def windows(found: tuple[TimedCeiling, ...]) -> list[tuple[str, str]]:
    def said(utc_s: float | None) -> str:
        return f"{datetime.fromtimestamp(utc_s or 0, UTC):%m-%dT%H:%M}"

    return [(said(c.from_utc_s), said(c.until_utc_s)) for c in found]


def test_a_cap_is_a_ceiling_of_the_operator_with_its_hours() -> None:
    (first, second) = cap_ceilings(
        [cap("16:00", "21:00")], zone=LA, now_utc_s=utc("2026-11-24T12:00")
    )
    assert first == TimedCeiling(
        holder=Holder(rank=Rank.OPERATOR, kind="cap", id="grid 16:00-21:00"),
        reason="the operator's cap of 120 kW from 16:00-21:00",
        from_utc_s=utc("2026-11-25T00:00"),
        until_utc_s=utc("2026-11-25T05:00"),
        node=NodeId("grid"),
        limit_w=120_000.0,
    )
    assert second.from_utc_s - first.from_utc_s == 86400.0


TABLE = {
    "weekdays_only": (
        cap("16:00", "21:00", frozenset({0, 1, 2, 3, 4})),
        BERLIN,
        "2026-11-27T12:00",  # a Friday
        [("11-27T15:00", "11-27T20:00")],
    ),
    "over_midnight_belongs_to_its_first_day": (
        cap("22:00", "06:00", frozenset({4})),
        BERLIN,
        "2026-11-28T01:00",  # Saturday, 02:00 on the wall
        [("11-27T21:00", "11-28T05:00")],
    ),
    "until_midnight": (
        cap("20:00", "24:00", frozenset({4})),
        BERLIN,
        "2026-11-27T12:00",
        [("11-27T19:00", "11-27T23:00")],
    ),
    "whole_day": (
        cap("00:00", "24:00", frozenset({4})),
        BERLIN,
        "2026-11-27T12:00",
        [("11-26T23:00", "11-27T23:00")],
    ),
    "same_time_is_a_whole_day": (
        cap("06:00", "06:00", frozenset({4})),
        BERLIN,
        "2026-11-27T12:00",
        [("11-27T05:00", "11-28T05:00")],
    ),
    "ended_is_gone": (
        cap("16:00", "21:00", frozenset({4})),
        BERLIN,
        "2026-11-27T20:00",
        [],
    ),
    "spring_gap_start_in_the_gap": (  # 02:00 -> 03:00 at 01:00 UTC
        cap("02:30", "05:00", frozenset({6})),
        BERLIN,
        "2026-03-28T20:00",
        [("03-29T01:00", "03-29T03:00")],
    ),
    "spring_gap_end_in_the_gap": (
        cap("01:00", "02:30", frozenset({6})),
        BERLIN,
        "2026-03-28T20:00",
        [("03-29T00:00", "03-29T01:00")],
    ),
    "spring_gap_whole_cap_in_the_gap": (
        cap("02:10", "02:50", frozenset({6})),
        BERLIN,
        "2026-03-28T20:00",
        [],
    ),
    "spring_over_the_gap_is_an_hour_shorter": (
        cap("22:00", "06:00", frozenset({5})),
        BERLIN,
        "2026-03-28T20:00",
        [("03-28T21:00", "03-29T04:00")],
    ),
    "autumn_over_the_change_is_an_hour_longer": (
        cap("22:00", "06:00", frozenset({5})),
        BERLIN,
        "2026-10-24T18:00",
        [("10-24T20:00", "10-25T05:00")],
    ),
    "autumn_begins_with_the_first_and_ends_with_the_second": (  # 03:00 -> 02:00 at 01:00 UTC
        cap("02:15", "02:45", frozenset({6})),
        BERLIN,
        "2026-10-24T18:00",
        [("10-25T00:15", "10-25T01:45")],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_windows(name: str) -> None:
    given_cap, zone, now, expected = TABLE[name]
    found = cap_ceilings([given_cap], zone=zone, now_utc_s=utc(now))
    assert windows(found) == expected


@settings(deadline=None)
@given(
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.sampled_from([LA, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]),
    st.sampled_from(
        ["2026-03-29T00:00", "2026-10-25T00:00", "2026-11-01T08:00", "2026-04-04T14:00"]
    ),
    st.integers(0, 48 * 60 - 1),
)
def test_whatever_the_wall_shows_within_the_hours_is_capped(
    begin: int, end: int, zone: ZoneInfo, around: str, ahead: int
) -> None:
    made = Cap(node=NodeId("grid"), limit_w=1.0, from_minute=begin, to_minute=end, days=WEEK)
    now = utc(around)
    found = cap_ceilings([made], zone=zone, now_utc_s=now)
    moment = now + ahead * 60.0
    wall = datetime.fromtimestamp(moment, zone)
    shown = wall.hour * 60 + wall.minute
    within = begin <= shown < end if begin < end else shown >= begin or shown < end
    capped = any(c.from_utc_s <= moment < (c.until_utc_s or 0.0) for c in found)
    if within:
        assert capped
    elif capped:
        # Only where an hour is on the wall twice may a cap reach beyond its hours.
        assert any(
            datetime.fromtimestamp(moment + hours * 3600, zone).utcoffset() != wall.utcoffset()
            for hours in (-25, 25)
        )


def test_the_horizon_bounds_what_is_told() -> None:
    found = cap_ceilings(
        [cap("16:00", "21:00")],
        zone=BERLIN,
        now_utc_s=utc("2026-11-24T12:00"),
        horizon_s=3600.0 * 2,
    )
    assert found == ()
    many = cap_ceilings(
        [cap("16:00", "21:00"), cap("03:00", "04:00")],
        zone=BERLIN,
        now_utc_s=utc("2026-11-24T12:00"),
    )
    assert [c.from_utc_s for c in many] == sorted(c.from_utc_s for c in many)
    limit = utc("2026-11-24T12:00") + timedelta(hours=48).total_seconds()
    assert all(c.from_utc_s < limit for c in many)
    assert len(many) == 4
