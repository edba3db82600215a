import pytest

from edgectl.devices.codec import Bad
from edgectl.devices.profile import (
    Connectors,
    Expect,
    PointType,
    PollClass,
    Profile,
    ReadRules,
    RegisterKind,
    Scope,
    WordOrder,
)
from edgectl.devices.reads import (
    Place,
    ReadBatch,
    decode,
    identify,
    plan_reads,
    read_point,
    required,
    unmet,
)
from edgectl.errors import InvariantBroken
from edgectl.model.modbus import Function
from tests.devices.builders import CHARX, EM24, JANITZA, KEBA
from tests.devices.points import point, profile


def spans(made: Profile) -> list[tuple[int, int]]:
    return [(b.request.address, b.request.count) for b in plan_reads(made, unit=1)]


def test_neighbours_are_read_together_and_gaps_are_not() -> None:
    assert spans(profile(point("a", 0), point("b", 1), point("c", 3))) == [(0, 2), (3, 1)]


def test_gaps_are_spanned_where_the_device_allows_it() -> None:
    rules = ReadRules(allow_gaps=True)
    assert spans(profile(point("a", 0), point("b", 1), point("c", 9), read=rules)) == [(0, 10)]


def test_a_block_never_exceeds_the_devices_registers() -> None:
    rules = ReadRules(allow_gaps=True, max_registers=10)
    assert spans(profile(point("a", 0), point("b", 9), point("c", 10), read=rules)) == [
        (0, 10),
        (10, 1),
    ]


def test_one_value_per_request_where_the_device_wants_it() -> None:
    rules = ReadRules(single_value=True)
    assert spans(profile(point("a", 0), point("b", 1), read=rules)) == [(0, 1), (1, 1)]


def test_no_block_crosses_a_boundary() -> None:
    rules = ReadRules(boundaries=(2,))
    assert spans(profile(*(point(f"p{n}", n) for n in range(4)), read=rules)) == [(0, 2), (2, 2)]


def test_no_block_touches_a_register_that_is_never_read() -> None:
    rules = ReadRules(allow_gaps=True, never_read=(2,))
    assert spans(profile(point("a", 0), point("b", 1), point("c", 3), read=rules)) == [
        (0, 2),
        (3, 1),
    ]


def test_a_register_that_answers_otherwise_alone_is_read_alone() -> None:
    rules = ReadRules(allow_gaps=True, alone=(2,))
    made = profile(point("a", 1), point("b", 2), point("c", 3), point("d", 4), read=rules)
    assert spans(made) == [(1, 1), (2, 1), (3, 2)]
    # Nor is it spanned by a block around it.
    assert spans(profile(point("a", 1), point("c", 3), read=rules)) == [(1, 1), (3, 1)]


def test_input_and_holding_registers_are_different_spaces() -> None:
    made = profile(point("a", 0), point("b", 1, kind=RegisterKind.INPUT))
    functions = [batch.request.function for batch in plan_reads(made, unit=1)]
    assert functions == [Function.READ_HOLDING, Function.READ_INPUT]


def test_slow_points_are_apart_from_fast_ones() -> None:
    made = profile(point("a", 0), point("b", 1, poll=PollClass.SLOW), point("c", 2))
    assert [(b.period, b.request.address) for b in plan_reads(made, unit=1)] == [
        (PollClass.FAST, 0),
        (PollClass.FAST, 2),
        (PollClass.SLOW, 1),
    ]


def test_connectors_lie_a_stride_apart_and_the_devices_own_points_stay() -> None:
    made = profile(
        point("own", 7),
        point("each", 5, scope=Scope.CONNECTOR),
        connectors=Connectors(first=1, last=4, base=100, stride=50),
    )
    batches = plan_reads(made, unit=9, connector=3, address_offset=1)
    assert sorted(batch.request.address for batch in batches) == [8, 206]  # 100 + 2 * 50 + 5 + 1
    with pytest.raises(InvariantBroken, match="connector 5 is outside 1 to 4"):
        plan_reads(made, unit=9, connector=5)


def test_an_address_off_the_register_space_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="register -1"):
        plan_reads(profile(point("a", 0)), unit=1, address_offset=-1)


def test_the_sites_word_order_replaces_the_profiles_but_not_a_points_own() -> None:
    long = {"type": PointType.U32, "count": 2}
    made = profile(point("a", 0, **long), point("b", 2, word_order=WordOrder.HIGH, **long))
    batch = plan_reads(made, unit=1, word_order="low")[0]
    assert decode(batch, (1, 0, 0, 1)) == {"a": 1.0, "b": 1.0}


def test_charx_reads_its_measurements_state_and_setpoint_in_one_block() -> None:
    fast = [b for b in plan_reads(CHARX, unit=1, connector=2) if b.period is PollClass.FAST]
    assert [(b.request.address, b.request.count) for b in fast] == [(2232, 70)]  # 2232 to 2301


def test_keba_reads_one_value_of_two_words_per_request() -> None:
    assert all(b.request.count == 2 and len(b.points) == 1 for b in plan_reads(KEBA, unit=255))


def test_em24_never_reads_000b_inside_a_block() -> None:
    for batch in plan_reads(EM24, unit=1):
        assert 0x0B not in range(batch.request.address, batch.request.address + batch.request.count)
    check = identify(EM24, unit=1)
    assert check is not None
    assert (check.batch.request.address, check.batch.request.count) == (0x0B, 1)


@pytest.mark.parametrize("count", [0, 27, 29, 56])
def test_a_wrong_count_of_words_makes_every_value_bad(count: int) -> None:
    batch = plan_reads(JANITZA, unit=1)[0]
    assert batch.request.count == 28
    values = decode(batch, (0,) * count)
    assert set(values) == {at.point.name for at in batch.points}
    for value in values.values():
        assert isinstance(value, Bad)
        assert value.why == f"the answer has {count} words, 28 were asked for"


def test_a_bad_value_does_not_spoil_its_neighbours() -> None:
    batch = plan_reads(JANITZA, unit=1)[0]
    words = [0] * 28
    words[12:14] = [0x7FC0, 0]  # current_a.1 is NaN
    values = decode(batch, words)
    assert isinstance(values["current_a.1"], Bad)
    assert values["current_a.1"].address == 19012
    assert values["current_a.2"] == 0.0


def expecting(**wanted: object) -> tuple[ReadBatch, Expect]:
    made = profile(point("a", 4))
    expect = Expect(point="a", why="because", remedy="do it", **wanted)  # type: ignore[arg-type]
    return read_point(made, Place(unit=1), "a"), expect


@pytest.mark.parametrize(
    ("wanted", "good", "wrong"),
    [
        ({"one_of": (7.0,)}, 7.0, 6.0),
        ({"one_of": ("running", "error")}, "running", "idle"),
        ({"starts_with": "4"}, 4222210.0, 322221.0),
        ({"starts_with": "CHARX"}, "CHARX SEC", "EV-CC"),
        ({"at_least": 45.0, "at_most": 65.0}, 50.0, 0.0),
        ({"at_least": 10201.0}, 10201.0, 10200.0),
        ({"at_most": 5.0}, 5.0, 5.1),
        ({"at_most": 5.0}, 5.0, "text"),
    ],
)
def test_an_expectation_holds_or_is_said(
    wanted: dict[str, object], good: float | str, wrong: float | str
) -> None:
    from edgectl.devices.reads import Check

    batch, expect = expecting(**wanted)
    check = Check(batch=batch, expects=(expect,))
    assert unmet(check, {"a": good}) == ()
    (said,) = unmet(check, {"a": wrong})
    assert said.text.startswith("a at register 4 is ")
    assert said.text.endswith("because")
    assert (said.remedy, said.blocks) == ("do it", True)


def test_an_expectation_of_a_bad_or_absent_value_does_not_hold() -> None:
    (check,) = [c for c in required(EM24, unit=1) if c.expects[0].point == "application"]
    assert check.batch.request.address == 0xA000
    (absent,) = unmet(check, {})
    assert "application was not read" in absent.text
    (bad,) = unmet(check, decode(check.batch, ()))
    assert "the answer has 0 words" in bad.text


def test_em24_in_another_application_is_not_used() -> None:
    (check,) = [c for c in required(EM24, unit=1) if c.expects[0].point == "application"]
    assert unmet(check, decode(check.batch, (7,))) == ()
    (said,) = unmet(check, decode(check.batch, (3,)))
    assert said.blocks
    assert "application at register 40960 is 3, expected 7" in said.text
    assert "application H" in said.remedy


def test_a_p30_is_not_taken_for_a_p40() -> None:
    check = identify(KEBA, unit=255)
    assert check is not None
    assert unmet(check, decode(check.batch, (0x0040, 0x6D02))) == ()  # 4222210
    assert unmet(check, decode(check.batch, (0x0004, 0xEAEC)))  # 322284
