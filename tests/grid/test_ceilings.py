"""Events to ceilings over time: time rules, units, targets, conflict, minimum."""

from typing import Any

import pytest

from edgectl.errors import Refused
from edgectl.grid.ceilings import ceilings
from edgectl.grid.narrow import adds_only, narrows
from edgectl.grid.plan import EventPlan
from edgectl.model.ceiling import Rank, TimedCeiling
from edgectl.model.site import Program, Site
from edgectl.units import ProgramId
from tests.grid.samples import SITE, at, limit, planned, wire, with_program

NOW = "0001-01-01T00:00:00Z"


def made(*plans: EventPlan, now: str = "14:00", site: Site = SITE) -> tuple[TimedCeiling, ...]:
    return ceilings(plans, site=site, now_utc_s=at(now))


def in_force(found: tuple[TimedCeiling, ...], clock: str) -> list[float]:
    """The limits in kW that apply at a moment, by the rule of a ceiling."""
    moment = at(clock)
    return sorted(
        ceiling.limit_w / 1000.0
        for ceiling in found
        if ceiling.limit_w is not None
        and ceiling.from_utc_s <= moment
        and (ceiling.until_utc_s is None or moment < ceiling.until_utc_s)
    )


def timeline(found: tuple[TimedCeiling, ...]) -> list[tuple[str, str | None, float]]:
    def clock(utc_s: float) -> str:
        second = round(utc_s - at("00:00"))
        text = f"{second // 3600:02d}:{second % 3600 // 60:02d}"
        return text if second % 60 == 0 else f"{text}:{second % 60:02d}"

    return [
        (
            clock(c.from_utc_s),
            None if c.until_utc_s is None else clock(c.until_utc_s),
            (c.limit_w or 0.0) / 1000.0,
        )
        for c in found
    ]


TIME_RULES: dict[str, tuple[dict[str, Any], list[tuple[str, str | None, float]]]] = {
    "event_period_gives_start_and_default_duration": (
        {
            "intervalPeriod": {"start": wire("16:30"), "duration": "PT30M"},
            "intervals": [limit(600), limit(450, 1), limit(450, 2), limit(600, 3)],
        },
        [
            ("16:30", "17:00", 600),
            ("17:00", "17:30", 450),
            ("17:30", "18:00", 450),
            ("18:00", "18:30", 600),
        ],
    ),
    "own_duration_overrides": (
        {"intervals": [limit(60, duration="PT10M"), limit(40, 1)]},
        [("16:30", "16:40", 60), ("16:40", "17:40", 40)],
    ),
    "own_start_overrides": (
        {"intervals": [limit(60), limit(40, 1, start=wire("19:00"))]},
        [("16:30", "17:30", 60), ("19:00", "20:00", 40)],
    ),
    "every_interval_its_own_period": (
        {
            "intervalPeriod": None,
            "intervals": [
                limit(60, start=wire("18:00"), duration="PT1H"),
                limit(40, 1, start=wire("16:00"), duration="PT1H"),
            ],
        },
        [("16:00", "17:00", 40), ("18:00", "19:00", 60)],
    ),
    "now_in_a_later_interval_follows_the_one_before": (
        {"intervals": [limit(60), limit(40, 1, start=NOW, duration="PT5M")]},
        [("16:30", "17:30", 60), ("17:30", "17:35", 40)],
    ),
    "now_at_event_level_runs_since_the_version_was_made": (
        {
            "intervalPeriod": {"start": NOW, "duration": "PT1H"},
            "intervals": [limit(60), limit(40, 1)],
        },
        [("14:00", "15:00", 60), ("15:00", "16:00", 40)],
    ),
    "old_form_of_now": (
        {"intervalPeriod": {"start": "0000-00-00", "duration": "PT1H"}},
        [("14:00", "15:00", 60)],
    ),
    "F11_absent_duration_holds_until_changed": (
        {"intervalPeriod": {"start": wire("16:30")}},
        [("16:30", None, 60)],
    ),
    "absent_duration_ends_where_the_next_interval_begins": (
        {
            "intervalPeriod": {"start": wire("16:30")},
            "intervals": [limit(60), limit(40, 1, start=wire("18:00"))],
        },
        [("16:30", "18:00", 60), ("18:00", None, 40)],
    ),
    "infinite_duration": (
        {"intervalPeriod": {"start": wire("16:30"), "duration": "P9999Y"}},
        [("16:30", None, 60)],
    ),
    "what_follows_the_infinite_never_begins": (
        {
            "intervalPeriod": {"start": wire("16:30"), "duration": "P9999Y"},
            "intervals": [limit(60), limit(40, 1)],
        },
        [("16:30", None, 60)],
    ),
    "explicit_zero_cancels": (
        {"intervalPeriod": {"start": NOW, "duration": "PT0S"}},
        [],
    ),
    "explicit_zero_as_P0S_cancels": (
        {"intervalPeriod": {"start": wire("16:30"), "duration": "P0S"}},
        [],
    ),
    "zero_interval_among_others_takes_no_time": (
        {"intervals": [limit(60, duration="PT0S"), limit(40, 1)]},
        [("16:30", "17:30", 40)],
    ),
    "event_duration_cuts": (
        {"duration": "PT90M", "intervals": [limit(60), limit(40, 1)]},
        [("16:30", "17:30", 60), ("17:30", "18:00", 40)],
    ),
    "event_duration_cuts_the_open_end": (
        {"duration": "PT90M", "intervalPeriod": {"start": wire("16:30")}},
        [("16:30", "18:00", 60)],
    ),
    "event_duration_loops": (
        {"duration": "PT150M", "intervals": [limit(60, duration="PT30M"), limit(40, 1)]},
        [
            ("16:30", "17:00", 60),
            ("17:00", "18:00", 40),
            ("18:00", "18:30", 60),
            ("18:30", "19:00", 40),
        ],
    ),
    "event_duration_zero_cancels": ({"duration": "PT0S"}, []),
    "interval_without_a_limit_leaves_a_gap": (
        {
            "intervals": [
                limit(60),
                {"id": 1, "payloads": [{"type": "PRICE", "values": [0.2]}]},
                limit(40, 2),
            ]
        },
        [("16:30", "17:30", 60), ("18:30", "19:30", 40)],
    ),
}


@pytest.mark.parametrize("name", TIME_RULES)
def test_time(name: str) -> None:
    changes, expected = TIME_RULES[name]
    assert timeline(made(planned(**changes))) == expected


@pytest.mark.parametrize(
    ("draw", "expected"), [(0.0, "16:20"), (0.5, "16:30"), (0.75, "16:35"), (0.999999, "16:40")]
)
def test_the_random_shift_moves_the_first_start_either_way(draw: float, expected: str) -> None:
    period = {"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"}
    found = made(planned(draw=draw, intervalPeriod=period))
    assert found[0].from_utc_s == pytest.approx(at(expected), abs=0.01)
    assert found[0].until_utc_s == pytest.approx(at(expected) + 3600.0, abs=0.01)


def test_contiguous_intervals_move_with_the_first_and_others_do_not() -> None:
    found = made(
        planned(
            draw=1.0,
            intervalPeriod={"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"},
            intervals=[
                limit(60),
                limit(50, 1),
                limit(40, 2, start=wire("18:30")),
                limit(30, 3, start=wire("22:00")),
            ],
        )
    )
    assert [start for start, _, _ in timeline(found)] == ["16:40", "17:40", "18:40", "22:00"]


def test_a_loop_has_its_present_pass_at_any_time_and_stays_bounded() -> None:
    endless = planned(
        duration="P9999Y",
        intervalPeriod={"start": "2020-01-01T00:00:00Z", "duration": "PT1S"},
        intervals=[limit(60), limit(40, 1)],
    )
    for clock, expected in (("12:00:00", [60]), ("12:00:01", [40]), ("23:59:58", [60])):
        found = made(endless, now=clock)
        assert in_force(found, clock) == expected
        assert len(found) < 500


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"intervalPeriod": None}, "intervalPeriod is missing"),
        ({"intervalPeriod": {"duration": "PT1H"}}, "start is missing"),
        ({"intervalPeriod": {"start": wire("16:30"), "duration": "PT0.5S"}}, "shorter than"),
        (
            {"intervalPeriod": {"start": wire("16:30"), "randomizeStart": "P2D"}},
            "longer than a day",
        ),
    ],
)
def test_time_that_cannot_be_followed_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        planned(**changes)


def units(unit: str | None) -> list[dict[str, Any]]:
    return [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": unit}]


@pytest.mark.parametrize(
    ("unit", "value", "limit_w", "limit_a"),
    [
        ("W", 60_000, 60_000.0, None),
        ("KW", 60, 60_000.0, None),
        ("KW", 0, 0.0, None),
        ("A", 100, None, 100.0),
        ("AMPS", 63.5, None, 63.5),
        ("PERCENT", 0.4, 60_000.0, None),
        ("PERCENT", 1, 150_000.0, None),
        (None, 60, 60_000.0, None),
    ],
)
def test_units(
    unit: str | None, value: float, limit_w: float | None, limit_a: float | None
) -> None:
    (found,) = made(planned(payloadDescriptors=units(unit), intervals=[limit(value)]))
    assert found.limit_w == limit_w
    assert found.limit_a == (limit_a, limit_a, limit_a)


def test_no_descriptor_at_all_takes_the_programs_unit() -> None:
    (found,) = made(planned(payloadDescriptors=None))
    assert found.limit_w == 60_000.0


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"intervals": [limit(-1)]}, "malformed", "negative"),
        ({"intervals": [limit("60")]}, "malformed", "not a number"),
        ({"intervals": [limit(True)]}, "malformed", "not a number"),
        ({"intervals": [limit({"x": 1.0, "y": 2.0})]}, "malformed", "not a number"),
        (
            {
                "intervals": [
                    {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": []}]}
                ]
            },
            "malformed",
            "0 values",
        ),
        (
            {
                "intervals": [
                    {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [1, 2]}]}
                ]
            },
            "malformed",
            "2 values",
        ),
        (
            {"intervals": [{"id": 0, "payloads": limit(1)["payloads"] * 2}]},
            "malformed",
            "two payloads",
        ),
        ({"intervals": [limit(1e308)]}, "malformed", "out of range"),
        ({"payloadDescriptors": units("PERCENT"), "intervals": [limit(40)]}, "malformed", "frac"),
        ({"payloadDescriptors": units("PERCENT"), "intervals": [limit(-0.5)]}, "malformed", "neg"),
        ({"payloadDescriptors": units("KWH")}, "not_supported", "KWH"),
        ({"programID": "prog-2", "payloadDescriptors": None}, "malformed", "no unit"),
        (
            {
                "programID": "prog-2",
                "payloadDescriptors": units("PERCENT"),
                "intervals": [limit(1)],
            },
            "not_supported",
            "reference_kw",
        ),
        ({"programID": "prog-9"}, "unknown_program", "prog-9"),
        ({"targets": ["tx9"]}, "unknown_target", "tx9"),
        ({"targets": ["empty"]}, "unknown_target", "empty"),
    ],
)
def test_F11_a_limit_that_means_nothing_here_is_refused(  # noqa: N802 - named after the failure
    changes: dict[str, Any], code: str, word: str
) -> None:
    with pytest.raises(Refused, match=word) as caught:
        planned(**changes)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("targets", "nodes", "evses"),
    [
        (None, {"grid"}, set()),
        ([], {"grid"}, set()),
        (["tx1"], {"tx1"}, set()),
        (["bay01"], set(), {"bay01"}),
        (["bays"], set(), {"bay01", "bay02"}),
        (["tx1", "bay01", "tx1"], {"tx1"}, {"bay01"}),
        (["depot-north"], {"grid"}, set()),
        (["871685900000000000"], {"grid"}, set()),
        ([{"type": "GROUP", "values": ["bays"]}], set(), {"bay01", "bay02"}),
        (
            [
                {"type": "POWER_SERVICE_LOCATION", "values": ["871685900000000000"]},
                {"type": "VEN_NAME", "values": ["depot-north"]},
            ],
            {"grid"},
            set(),
        ),
        ([{"type": "PROGRAM_NAME", "values": ["any"]}], {"grid"}, set()),
        (["tx1", "tx9"], {"tx1"}, set()),
    ],
)
def test_targets_of_both_versions(
    targets: list[Any] | None, nodes: set[str], evses: set[str]
) -> None:
    found = made(planned(targets=targets))
    assert {c.node for c in found if c.node is not None} == nodes
    assert {c.evse for c in found if c.evse is not None} == evses


def test_payloads_that_are_not_acted_on_are_named() -> None:
    interval = limit(60)
    interval["payloads"].append({"type": "X_PRIVATE", "values": ["?"]})
    assert planned(intervals=[interval]).ignored == ("X_PRIVATE",)
    curve = planned(intervals=[{"id": 0, "payloads": [{"type": "CURVE", "values": [0.1]}]}])
    fault = curve.fault()
    assert fault is not None
    assert fault.code == "not_supported"
    assert "CURVE" in fault.message
    prices = planned(intervals=[{"id": 0, "payloads": [{"type": "PRICE", "values": [0.1]}]}])
    assert (prices.ignored, made(prices)) == (("PRICE",), ())


def test_S17_rank_follows_the_program() -> None:  # noqa: N802
    assert made(planned())[0].holder.rank is Rank.UTILITY_MANDATORY
    descriptors = units("KW")
    voluntary = planned(programID="prog-2", payloadDescriptors=descriptors)
    assert made(voluntary)[0].holder.rank is Rank.UTILITY_VOLUNTARY


def test_a_better_priority_replaces_while_it_is_active() -> None:
    low = planned(id="low", priority=5, intervals=[limit(40, duration="PT2H")])
    best = planned(
        id="best", priority=0, intervals=[limit(90, start=wire("17:00"), duration="PT30M")]
    )
    last = planned(id="last", intervals=[limit(10, duration="PT3H")])
    found = made(low, best, last)
    for clock, expected in (
        ("16:45", [40]),
        ("17:15", [90]),
        ("17:30", [40]),
        ("18:29:59", [40]),
        ("18:30", [10]),
        ("19:30", []),
    ):
        assert in_force(found, clock) == expected, clock


def test_a_better_priority_takes_only_its_own_time() -> None:
    early = planned(
        id="early", priority=0, intervals=[limit(90, start=wire("15:00"), duration="PT30M")]
    )
    touching = planned(
        id="touching", priority=0, intervals=[limit(90, start=wire("17:30"), duration="PT30M")]
    )
    assert timeline(made(planned(priority=5), early, touching)) == [
        ("15:00", "15:30", 90),
        ("16:30", "17:30", 60),
        ("17:30", "18:00", 90),
    ]


def test_of_equal_priorities_the_lowest_holds() -> None:
    found = made(planned(id="a", priority=1, intervals=[limit(90)]), planned(id="b", priority=1))
    assert min(in_force(found, "17:00")) == 60


def test_among_programs_every_ceiling_applies() -> None:
    other = planned(
        id="b",
        programID="prog-2",
        priority=0,
        payloadDescriptors=units("KW"),
        intervals=[limit(90)],
    )
    assert in_force(made(planned(priority=7), other), "17:00") == [60, 90]


def test_priority_replaces_only_at_the_same_element() -> None:
    elsewhere = planned(id="b", priority=0, targets=["tx1"], intervals=[limit(90)])
    assert in_force(made(planned(priority=7), elsewhere), "17:00") == [60, 90]


@pytest.mark.parametrize(("kw", "expected"), [(0, 12.6), (4.2, 12.6), (12.6, 12.6), (50, 50)])
def test_F12_a_guaranteed_minimum_is_held(kw: float, expected: float) -> None:  # noqa: N802
    found = made(
        planned(programID="prog-hold", payloadDescriptors=units("KW"), intervals=[limit(kw)])
    )
    assert in_force(found, "17:00") == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("target", "amps"),
    [("grid", 12_600 / 690), ("bay01", 12_600 / 690), ("bay02", 12_600 / 230)],
)
def test_F12_the_minimum_holds_for_a_limit_in_amperes(target: str, amps: float) -> None:  # noqa: N802
    (found,) = made(
        planned(
            programID="prog-hold",
            payloadDescriptors=units("A"),
            intervals=[limit(1)],
            targets=[target],
        )
    )
    assert found.limit_a[0] == pytest.approx(amps)


def test_F12_below_minimum_obey_goes_below() -> None:  # noqa: N802
    program = Program(id=ProgramId("prog-1"), mandatory=True, minimum_w=12_600.0)
    site = with_program(program)
    found = made(planned(site=site, intervals=[limit(0)]), site=site)
    assert in_force(found, "17:00") == [0]


def test_windows_that_ended_are_gone_unless_the_clock_is_in_doubt() -> None:
    two = planned(intervals=[limit(60), limit(40, 1)])
    assert timeline(made(two, now="17:45")) == [("17:30", "18:30", 40)]
    doubtful = ceilings([two], site=SITE, now_utc_s=at("17:45"), keep_ended=True)
    assert len(doubtful) == 2


NARROWER: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "lower": ({}, {"intervals": [limit(50)]}, True),
    "same": ({}, {}, True),
    "higher": ({}, {"intervals": [limit(70)]}, False),
    "longer": ({}, {"intervals": [limit(60, duration="PT2H")]}, True),
    "shorter": ({}, {"intervals": [limit(60, duration="PT59M")]}, False),
    "later": ({}, {"intervalPeriod": {"start": wire("16:31"), "duration": "PT1H"}}, False),
    "split_but_covered": (
        {},
        {"intervals": [limit(60, duration="PT30M"), limit(20, 1, duration="PT30M")]},
        True,
    ),
    "split_with_a_gap": (
        {},
        {
            "intervals": [
                limit(60, duration="PT30M"),
                limit(60, 1, start=wire("17:01"), duration="PT30M"),
            ]
        },
        False,
    ),
    "elsewhere": ({}, {"targets": ["tx1"]}, False),
    "more_places": ({}, {"targets": ["tx1", "grid"]}, True),
    "other_priority": ({}, {"priority": 3}, False),
    "other_unit": ({}, {"payloadDescriptors": units("A"), "intervals": [limit(1)]}, False),
    "cancel": ({}, {"duration": "PT0S"}, False),
    "open_end_cut": (
        {"intervalPeriod": {"start": wire("16:30")}},
        {"duration": "P1D"},
        False,
    ),
    "loop_lower": ({"duration": "PT5H"}, {"duration": "PT5H", "intervals": [limit(50)]}, True),
    "loop_cut": ({"duration": "PT5H"}, {"duration": "PT4H"}, False),
}


@pytest.mark.parametrize("name", NARROWER)
def test_what_only_tightens(name: str) -> None:
    before, after, expected = NARROWER[name]
    assert narrows(planned(**before), planned(**after)) is expected


def test_a_new_event_only_adds_unless_it_replaces_one_of_its_program() -> None:
    held = planned(id="a", priority=5)
    assert adds_only(planned(id="b", priority=5), [held])
    assert adds_only(planned(id="b"), [held])
    assert not adds_only(planned(id="b", priority=4), [held])
    assert adds_only(planned(id="b", priority=4, targets=["tx1"]), [held])
