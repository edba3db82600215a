"""Whatever is done to a site file, the answer is a site or findings, never another exception."""

import copy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.errors import BadInput
from edgectl.sitefile.load import load_source
from edgectl.sitefile.source import Source, parse_bytes
from tests.sitefile.sites import GOOD, PROFILES
from tests.sitefile.test_load import SKELETON

TEXTS = (GOOD, SKELETON)

ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["", "grid", "panel", "e1", "lan1", "m1", "keba-p40", "24:00", "../x", "a\nb", "\x00", "%s"]
    ),
    st.text(max_size=8),
    st.lists(st.integers(0, 4), max_size=4),
    st.dictionaries(st.sampled_from(["id", "node", 1]), st.integers(0, 3), max_size=2),
)


def outcome(source: Source) -> str:
    """Say what came of a source; any other exception than BadInput fails the test."""
    try:
        load_source(source, profile_dirs=[PROFILES])
    except BadInput as error:
        complete = [f for f in error.findings if f.code and f.message and f.remedy and f.line >= 0]
        return "findings" if complete and len(complete) == len(error.findings) else "half a finding"
    return "site"


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of a nested value."""
    found = [where]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*where, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            found += places(item, (*where, position))
    return found


def put(data: Any, where: tuple[Any, ...], value: Any) -> Any:
    if not where:
        return value
    holder = data
    for step in where[:-1]:
        holder = holder[step]
    holder[where[-1]] = value
    return data


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.sampled_from(["cut", "double", "swap", "put"]),
            st.text(max_size=3),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_random_edits_of_the_text(text: str, edits: list[tuple[int, str, str]]) -> None:
    for spot, what, new in edits:
        at = spot % max(1, len(text))
        if what == "cut":
            text = text[:at] + text[at + 1 + len(new) :]
        elif what == "double":
            text = text[:at] + text[at : at + 30] + text[at:]
        elif what == "swap":
            text = text[at:] + text[:at] if at % 7 == 0 else text[:at] + text[at:][::-1]
        else:
            text = text[:at] + new + text[at:]
    assert outcome(parse_bytes(text.encode("utf-8", "replace"), file="f")) in {"site", "findings"}


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(TEXTS), st.data())
def test_odd_values_anywhere(text: str, data: st.DataObject) -> None:
    value: Any = copy.deepcopy(parse_bytes(text.encode(), file="f").data)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(places(value)))
        value = put(value, where, data.draw(ODD_VALUES))
    assert outcome(Source(file="f", data=value)) in {"site", "findings"}


@settings(max_examples=60, deadline=None)
@given(st.recursive(ODD_VALUES, lambda inner: st.lists(inner, max_size=3), max_leaves=8))
def test_values_survive_the_way_through_text(value: Any) -> None:
    text = yaml.safe_dump({"site": value})
    assert outcome(parse_bytes(text.encode(), file="f")) == "findings"
