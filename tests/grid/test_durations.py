"""Durations and starts of OpenADR 3 (pattern and rules of the specification)."""

import json
import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.contract.openadr import parse_duration, parse_start
from edgectl.contract.wire_time import utc_from_text
from edgectl.grid.event import Duration, StartWord

PATTERN = re.compile(
    r"^(-?)P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)([DW]))?"
    r"(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
"""As the specification prints it."""


@pytest.mark.parametrize(
    ("text", "months", "seconds"),
    [
        ("PT0S", 0, 0),
        ("P0S", 0, 0),
        ("P0D", 0, 0),
        ("PT1H", 0, 3600),
        ("PT1H30M", 0, 5400),
        ("PT0.5S", 0, 0.5),
        ("PT90M", 0, 5400),
        ("P1D", 0, 86400),
        ("P2W", 0, 14 * 86400),
        ("P1DT2H", 0, 86400 + 7200),
        ("P1M", 1, 0),
        ("P1Y2M3DT4H5M6.5S", 14, 3 * 86400 + 4 * 3600 + 5 * 60 + 6.5),
        ("P1YT", 12, 0),
    ],
)
def test_duration_means(text: str, months: int, seconds: float) -> None:
    assert parse_duration(text) == Duration(months=months, seconds=seconds)


@pytest.mark.parametrize("text", ["P9999Y", "P1000Y", "P99999999999999999Y", "PT99999999999999H"])
def test_infinite_durations_never_end(text: str) -> None:
    duration = parse_duration(text)
    assert duration.infinite
    assert duration.after(1.7e9) == math.inf


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1",
        "1H",
        "-PT1H",
        "PT-1H",
        "PT1.5H",
        "P1W1D",
        "PT1H ",
        "PT1H\n",
        "pt1h",
        "P\u0661D",
        "PT1,5S",
        "P" + "9" * 80 + "Y",
        None,
        3600,
        True,
    ],
)
def test_not_a_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(
    st.tuples(*[st.none() | st.integers(0, 500)] * 6),
    st.sampled_from("DW"),
    st.sampled_from(["", "-"]),
    st.booleans(),
)
def test_duration_is_taken_exactly_where_the_specification_takes_it(
    parts: tuple[int | None, ...],
    day_or_week: str,
    sign: str,
    with_time: bool,  # noqa: FBT001 - given by the strategy
) -> None:
    years, months, days, hours, minutes, seconds = parts
    text = sign + "P"
    for value, letter in ((years, "Y"), (months, "M"), (days, day_or_week)):
        text += f"{value}{letter}" if value is not None else ""
    if with_time:
        text += "T"
        for value, letter in ((hours, "H"), (minutes, "M"), (seconds, "S")):
            text += f"{value}{letter}" if value is not None else ""
    if not PATTERN.match(text) or sign:
        with pytest.raises(ValueError, match="duration"):
            parse_duration(text)
        return
    expected_s = (days or 0) * (86400 if day_or_week == "D" else 7 * 86400)
    if with_time:
        expected_s += (hours or 0) * 3600 + (minutes or 0) * 60 + (seconds or 0)
    found = parse_duration(text)
    assert found.months == 12 * (years or 0) + (months or 0)
    assert found.seconds == expected_s


@given(st.text(max_size=70))
def test_any_text_gives_a_duration_or_a_value_error(text: str) -> None:
    try:
        found = parse_duration(text)
    except ValueError:
        return
    assert found.seconds >= 0
    assert found.months >= 0


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-01-31T10:00:00Z", "P1M", "2026-02-28T10:00:00Z"),
        ("2028-01-31T10:00:00Z", "P1M", "2028-02-29T10:00:00Z"),
        ("2026-12-15T00:00:00Z", "P1M", "2027-01-15T00:00:00Z"),
        ("2028-02-29T00:00:00Z", "P1Y", "2029-02-28T00:00:00Z"),
        ("2026-11-24T16:30:00.250Z", "PT30M", "2026-11-24T17:00:00.250Z"),
    ],
)
def test_durations_run_on_the_calendar(start: str, duration: str, end: str) -> None:
    assert parse_duration(duration).after(utc_from_text(start)) == utc_from_text(end)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00+00:00",
        "0000-00-00",
        "0000-00-00T00:00:00Z",
        "0000-01-01",
    ],
)
def test_every_form_of_now(text: str) -> None:
    assert parse_start(text) is StartWord.NOW


def test_a_start_with_an_offset_is_utc() -> None:
    expected = datetime(2026, 11, 24, 16, 30, tzinfo=UTC).timestamp()
    assert parse_start("2026-11-24T17:30:00+01:00") == expected
    assert parse_start("2026-11-24t16:30:00z") == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T16:30:00",
        "2026-11-24",
        "2026-13-24T16:30:00Z",
        "2026-02-30T16:30:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59.9999Z",
        "9999-12-31T23:59:59-23:59",
        "20261124T163000Z",
        "2026-W48-2T16:30:00Z",
        "\u0662026-11-24T16:30:00Z",
        "now",
        1764001800,
        None,
        json.loads("1e300"),
    ],
)
def test_not_a_time(text: object) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|calendar|1970"):
        parse_start(text)
