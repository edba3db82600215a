"""Base loads and announcements: what they mean, and what is said of wrong ones."""

from pathlib import Path

import pytest

from edgectl.errors import BadInput
from edgectl.simulator.sizing.announcements import Announced, read_announcements
from edgectl.simulator.sizing.base_load_file import read_load_profile
from tests.sizing.yards import START_S, written

DAY_S = 86400.0
WEEK_S = 7 * DAY_S


def load(folder: Path, *rows: str) -> Path:
    return written(folder, *rows, header="timestamp_utc,kw")


def test_each_value_holds_until_the_next_one(tmp_path: Path) -> None:
    path = load(tmp_path, "2023-11-14T22:00:00Z,5", "2023-11-14T23:00:00Z,-2.5")
    start_s = 1_699_999_200.0
    profile = read_load_profile(path, from_s=start_s + 600.0, until_s=start_s + 7000.0)
    assert profile.moved_weeks == 0
    assert (profile.at(start_s + 3599.0), profile.at(start_s + 3600.0)) == (5000.0, -2500.0)
    assert profile.next_change_s(start_s) == start_s + 3600.0
    assert profile.next_change_s(start_s + 3600.0) == float("inf")


def test_another_year_is_moved_by_whole_weeks(tmp_path: Path) -> None:
    rows = [f"2017-01-{day:02d}T00:00:00Z,{day}" for day in range(1, 22)]
    profile = read_load_profile(load(tmp_path, *rows), from_s=START_S, until_s=START_S + 5 * DAY_S)
    moved_s = profile.moved_weeks * WEEK_S
    assert profile.moved_weeks > 300
    assert profile.times_s[0] <= START_S
    assert profile.times_s[-1] + DAY_S >= START_S + 5 * DAY_S
    assert profile.times_s[0] - moved_s == 1_483_228_800.0  # 1 January 2017


def test_a_profile_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = load(tmp_path, "2023-11-14T22:00:00Z,5", "2023-11-14T23:00:00Z,6")
    with pytest.raises(BadInput, match="no shift by whole weeks"):
        read_load_profile(path, from_s=START_S, until_s=START_S + 30 * DAY_S)


@pytest.mark.parametrize("kw", ["", "much", "nan", "inf", "1e9"])
def test_a_load_that_is_none_is_named(tmp_path: Path, kw: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_load_profile(
            load(tmp_path, f"2023-11-14T22:00:00Z,{kw}"), from_s=START_S, until_s=START_S
        )
    assert (caught.value.findings[0].path, caught.value.findings[0].line) == ("kw", 2)


def test_a_time_that_comes_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    rows = ("2023-11-14T23:00:00Z,5", "2023-11-14T22:00:00Z,6", "2023-11-15T00:00:00+01:00,7")
    with pytest.raises(BadInput, match="that of line 2") as caught:
        read_load_profile(load(tmp_path, *rows), from_s=START_S, until_s=START_S)
    assert (caught.value.findings[0].code, caught.value.findings[0].line) == ("doubled_time", 4)


def test_announcements_go_by_session(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "s1,12.5,2023-11-14T22:15:00Z,1",
        "s1,3,2023-11-14T22:15:00Z,0",
        header="session_id,requested_kwh,estimated_departure_utc,user_stated",
    )
    assert read_announcements(path) == {
        "s1": Announced(energy_wh=3000.0, departure_utc_s=1_700_000_100.0)
    }
