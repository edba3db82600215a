"""What the recorder writes comes back as it was, to the last bit."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.contract.journal import (
    Head,
    JournalStep,
    checksum,
    number,
    short_number,
    single,
    time_text,
    time_value,
)
from edgectl.contract.journal_lines import head_line, step_line
from edgectl.contract.journal_reading import chapters_of, chapters_within, read_steps
from edgectl.contract.segment import Damage, lines_of
from edgectl.model.reading import EvseSample
from edgectl.model.record import TickRecord
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId
from tests.journal.recorded import SITE, run

ANY = st.floats(allow_nan=False)


def read(lines: list[str]) -> list[JournalStep]:
    return [one for _, one in read_steps(chapters_of(lines))]


def head() -> str:
    return head_line(SITE.site, version="1.0")


def assert_same(step: JournalStep, record: TickRecord) -> None:
    assert step.number == record.number
    assert step.now == record.now
    assert step.snapshot == record.snapshot
    assert step.evses == record.decision.evses
    assert step.safe is record.decision.safe
    assert step.before is None or step.before == record.before
    assert step.checksum == checksum(record.decision, record.state)


def test_every_tick_of_a_run_comes_back_equal() -> None:
    data, records = run()
    damage = Damage()
    steps = read(list(lines_of(data, damage)))
    assert damage == Damage()
    assert len(steps) == len(records) > 200
    for step, record in zip(steps, records, strict=True):
        assert_same(step, record)
    whole = [step for step in steps if step.before is not None]
    assert 4 <= len(whole) <= 6, "a whole snapshot a minute"


def test_a_chapter_needs_no_other() -> None:
    data, records = run()
    chapters = list(chapters_of(lines_of(data, Damage())))
    late = [one for _, one in read_steps(chapters[2:])]
    assert late[0].before == records[late[0].number - 1].before
    assert_same(late[-1], records[-1])


def test_an_interval_is_found_without_reading_the_rest() -> None:
    data, records = run()
    chapters = list(chapters_of(lines_of(data, Damage())))
    utc_s = records[100].now.utc_s
    (found,) = chapters_within(iter(chapters), from_utc_s=utc_s, until_utc_s=utc_s)
    steps = [one.now.utc_s for _, one in read_steps([found])]
    assert steps[0] <= utc_s <= steps[-1]
    everything = chapters_within(iter(chapters), from_utc_s=-1e30, until_utc_s=1e30)
    assert list(everything) == chapters
    assert not list(chapters_within(iter(chapters), from_utc_s=0.0, until_utc_s=1.0))


def test_a_step_after_a_gap_waits_for_the_next_whole_one() -> None:
    _, records = run()
    lines = [head(), step_line(records[0], last=None)]
    lines += [step_line(records[n], last=records[n - 1]) for n in (1, 3, 4)]
    lines += [step_line(records[5], last=None)]
    missing: list[int] = []
    found = read_steps(chapters_of(lines), passed_over=missing.append)
    assert [one.number for _, one in found] == [1, 2, 6]
    assert missing == [4, 5]


@given(ANY, st.floats(width=32, allow_nan=False))
def test_numbers_keep_their_bits(value: float, of_a_device: float) -> None:
    assert float(json.loads(number(value))).hex() == value.hex()
    short = short_number(of_a_device)
    assert short is not None
    assert single(float(json.loads(short))).hex() == of_a_device.hex()
    if short_number(value) is not None:
        assert single(value) == value


@given(ANY, ANY, st.integers(min_value=0, max_value=10**15))
def test_times_keep_their_bits(time_s: float, since_s: float, micros: int) -> None:
    for one, base in ((time_s, since_s), (micros / 1e6, since_s), (micros / 1e6, 12.5)):
        back = time_value(json.loads(time_text(one, since_s=base)), since_s=base)
        assert float(back).hex() == one.hex()


@given(st.lists(st.tuples(ANY, ANY, st.none() | ANY), min_size=1, max_size=4))
def test_samples_of_any_values_come_back(values: list[tuple[float, float, float | None]]) -> None:
    _, records = run()
    first, second = records[0], records[1]
    samples = tuple(
        EvseSample(taken_s=taken_s, current_a=(current_a, None, current_a), power_w=power_w)
        for taken_s, current_a, power_w in values
    )
    view = EvseView(samples=samples, last_answer_s=samples[-1].taken_s)
    evses = {**second.snapshot.evses, EvseId("k1"): view}
    odd = replace(second, snapshot=replace(second.snapshot, evses=evses))
    lines = [head(), step_line(first, last=None), step_line(odd, last=first)]
    lines.append(step_line(replace(records[2], number=3), last=odd))
    back = read(lines)
    assert back[1].snapshot == odd.snapshot
    assert back[2].snapshot == records[2].snapshot


def test_what_a_view_loses_is_recorded_too() -> None:
    _, records = run()
    first, second = records[100], records[101]
    evses = {**second.snapshot.evses, EvseId("c1"): EvseView()}
    emptied = replace(second, snapshot=replace(second.snapshot, evses=evses))
    lines = [head(), step_line(first, last=None), step_line(emptied, last=first)]
    assert read(lines)[1].snapshot == emptied.snapshot


def test_a_field_that_this_version_does_not_know_is_passed_over() -> None:
    """Read by the names in the head, so that older and newer versions read each other."""
    _, records = run()
    record = records[100]
    lines = [head(), step_line(record, last=None)]
    data = json.loads(lines[0])
    rows = data["rows"]["EvseSample"]
    assert rows[0] == "taken_s"
    older = {**data, "rows": {**data["rows"], "EvseSample": [*rows[:-1], "was_later_renamed"]}}
    (back,) = read([json.dumps(older, separators=(",", ":")), lines[1]])
    sample = back.snapshot.evses[EvseId("c1")].samples[-1]
    assert sample.power_w is None
    assert sample.current_a == record.snapshot.evses[EvseId("c1")].samples[-1].current_a


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["nonsense"], "head of a journal"),
        (['{"journal":99}', '{"n":1,"now":[1.0,2.0,true]}'], "format 99"),
        (['{"journal":1,"edgectl":"x"}', '{"n":1,"now":[1.0,2.0,true]}'], "not whole"),
        (['{"journal":1', '{"n":1,"now":[1.0,2.0,true]}'], "Expecting"),
    ],
)
def test_what_is_no_journal_is_said(lines: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(lines)


def test_a_line_that_is_no_step_is_said() -> None:
    _, records = run()
    lines = [head(), step_line(records[0], last=None)]
    for spoilt in ('{"n":2,"now":[1.0,2.0,true]}', "[1]", '{"n":2,"now":[1.0],"m":[],"e":[]}'):
        with pytest.raises(ValueError, match="no step"):
            read([*lines, spoilt])


def test_heads_name_what_they_are() -> None:
    _, records = run()
    lines = [head(), step_line(records[0], last=None)]
    ((found, _),) = read_steps(chapters_of(lines))
    assert isinstance(found, Head)
    assert found.site == SITE.site
    assert (found.version, found.part, found.first_part) == ("1.0", 1, 1)
