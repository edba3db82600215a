import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.devices.codec import WORDS_OF_TYPE, Bad, decode_point, encode_point, misfit, scaled
from edgectl.devices.profile import Access, PointType, WordOrder
from edgectl.errors import InvariantBroken
from tests.devices.points import point

WHOLE = {
    PointType.U16: (0, 2**16 - 1),
    PointType.I16: (-(2**15), 2**15 - 1),
    PointType.U32: (0, 2**32 - 1),
    PointType.I32: (-(2**31), 2**31 - 1),
    PointType.U64: (0, 2**53),
    PointType.I64: (-(2**53), 2**53),
}


def decoded(words: tuple[int, ...], **changes: Any) -> object:
    kind = changes.get("type", PointType.U16)
    changes.setdefault("count", WORDS_OF_TYPE.get(kind, len(words)))
    order = changes.pop("order", WordOrder.HIGH)
    return decode_point(point("x", 5, **changes), words, address=5, word_order=order)


@settings(deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data(), st.sampled_from(WordOrder))
def test_whole_numbers_come_back_as_they_went(
    kind: PointType, data: st.DataObject, order: WordOrder
) -> None:
    value = float(data.draw(st.integers(*WHOLE[kind])))
    x = point("x", 0, type=kind, count=WORDS_OF_TYPE[kind], access=Access.READ_WRITE)
    words = encode_point(x, value, word_order=order)
    assert decode_point(x, words, address=0, word_order=order) == value


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(WordOrder))
def test_floats_come_back_as_they_went(value: float, order: WordOrder) -> None:
    for kind in (PointType.F32, PointType.F64):
        x = point("x", 0, type=kind, count=WORDS_OF_TYPE[kind], access=Access.READ_WRITE)
        words = encode_point(x, value, word_order=order)
        assert decode_point(x, words, address=0, word_order=order) == value


@settings(deadline=None)
@given(st.integers(0, 80_000), st.sampled_from([0.1, 0.01, 0.001, 10.0, 100.0, 1.0]))
def test_scaled_values_are_the_nearest_floats(raw: int, scale: float) -> None:
    # The decimal that a person would write, not a neighbour of it.
    if scale < 1.0:
        assert scaled(raw, scale) == float(f"{raw}e{round(math.log10(scale))}")
    else:
        assert scaled(raw, scale) == raw * scale


def test_a_negative_scale_turns_the_sign() -> None:
    assert decoded((0x0000, 0x3E80), type=PointType.I32, scale=-0.001) == -16.0


def test_word_order_is_of_words_and_not_of_bytes() -> None:
    assert decoded((0x1234, 0x5678), type=PointType.U32) == float(0x12345678)
    assert decoded((0x5678, 0x1234), type=PointType.U32, order=WordOrder.LOW) == float(0x12345678)
    four = (0x4444, 0x3333, 0x2222, 0x0001)
    assert decoded(four, type=PointType.U64, order=WordOrder.LOW) == float(0x0001222233334444)


def test_a_mask_picks_bits_and_shifts_them_down() -> None:
    codes = ((0, "none"), (5, "five"))
    assert decoded((0x0A50,), mask=0x00F0, words_of=codes) == "five"
    assert decoded((0x0A0F,), mask=0x00F0, words_of=codes) == "none"
    assert decoded((0x0A50,), mask=0x0F00) == 10.0


def test_texts_end_at_their_padding() -> None:
    text = {"type": PointType.ASCII, "count": 3}
    assert decoded((0x4142, 0x4300, 0x0000), **text) == "ABC"
    assert decoded((0x4142, 0x4320, 0x2020), **text) == "ABC"
    assert decoded((0x0000, 0x0000, 0x0000), **text) == ""
    bad = decoded((0x41FF, 0x4300, 0x0000), **text)
    assert isinstance(bad, Bad)
    assert bad.why == "not readable as text"


@pytest.mark.parametrize("words", [(0x7FC0, 0), (0x7F80, 0), (0xFF80, 0)])
def test_s2_not_a_number_is_bad(words: tuple[int, int]) -> None:
    assert isinstance(decoded(words, type=PointType.F32), Bad)


def test_s2_a_marker_is_compared_before_scaling() -> None:
    assert isinstance(decoded((0xFFFF,), type=PointType.I16, invalid=(-1,), scale=0.1), Bad)
    assert decoded((0xFFFF,), type=PointType.U16, invalid=(-1,)) == 65535.0


def test_s2_only_the_devices_own_range_throws_a_value_out() -> None:
    assert decoded((500,), least=0.0, greatest=500.0) == 500.0
    high = decoded((501,), least=0.0, greatest=500.0)
    assert isinstance(high, Bad)
    assert "501" in high.why


def test_a_word_that_is_none_is_bad() -> None:
    assert isinstance(decoded((70000,)), Bad)
    assert isinstance(decoded((1, 2, 3), type=PointType.U32), Bad)


def test_a_bad_value_says_register_and_words() -> None:
    bad = decoded((0xFFFF, 0xFFFF), type=PointType.I32, invalid=(-1,))
    assert str(bad) == "x at register 5 [ffff ffff]: -1 means that the device has no value"


@pytest.mark.parametrize(
    ("changes", "value", "why"),
    [
        ({"access": Access.READ}, 1.0, "not writable"),
        ({"words_of": ((1, "on"),)}, 1.0, "not a plain number"),
        ({"greatest": 32.0}, 33.0, "above the device's greatest value"),
        ({"least": 0.0}, -1.0, "below the device's least value"),
        ({"scale": 0.1}, 1.05, "between two values of the register"),
        ({}, 65536.0, "does not fit into u16"),
        ({}, -1.0, "does not fit into u16"),
        ({"invalid": (65535,)}, 65535.0, "would be read back as"),
        ({}, math.nan, "not a number"),
        ({}, math.inf, "not a number"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(
    changes: dict[str, Any], value: float, why: str
) -> None:
    x = point("x", 9, **{"access": Access.READ_WRITE, **changes})
    said = misfit(x, value)
    assert said is not None
    assert why in said
    with pytest.raises(InvariantBroken, match="x at register 9"):
        encode_point(x, value, word_order=WordOrder.HIGH)
