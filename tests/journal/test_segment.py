"""Segments as bytes: torn ends, damage, and what `zcat` makes of them."""

import gzip
import json

import pytest

from edgectl.contract.journal_reading import chapters_of, read_steps
from edgectl.contract.segment import (
    Damage,
    SegmentWriter,
    lines_of,
    part_of,
    segment_name,
    segments_among,
)
from tests.journal.recorded import run


def numbers(data: bytes, damage: Damage) -> list[int]:
    return [one.number for _, one in read_steps(chapters_of(lines_of(data, damage)))]


def test_zcat_reads_it_as_lines_of_json() -> None:
    data, records = run()
    lines = gzip.decompress(data).decode().splitlines()
    steps = [json.loads(line) for line in lines if not line.startswith('{"journal"')]
    assert [step["n"] for step in steps] == [record.number for record in records]


def test_a_torn_end_loses_the_step_that_was_being_written_and_is_said() -> None:
    data, records = run()
    everything = [record.number for record in records]
    seen = set()
    for end in range(len(data) - 1, 0, -997):
        damage = Damage()
        found = numbers(data[:end], damage)
        assert found == everything[: len(found)], end
        assert damage.holes == 0
        seen.add((len(found), damage.torn))
    assert len({count for count, _ in seen}) > 10
    assert max(count for count, _ in seen) >= len(everything) - 3
    assert {torn for _, torn in seen} == {1}


def test_every_step_is_out_of_the_compressor_once_it_was_added() -> None:
    """Cut right behind what was added, as a killed process leaves it: nothing is missing."""
    _, records = run()
    writer = SegmentWriter(version="1")
    data = b""
    for record in records[:70]:
        data += writer.add(record)
        damage = Damage()
        assert numbers(data, damage)[-1] == record.number
        assert damage.torn == 1
    data += writer.end()
    damage = Damage()
    assert len(numbers(data, damage)) == 70
    assert damage == Damage()


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.9])
def test_damage_in_one_minute_leaves_the_others_readable(share: float) -> None:
    data, records = run()
    spoilt = bytearray(data)
    at = int(len(data) * share)
    spoilt[at : at + 40] = bytes(255 - byte for byte in spoilt[at : at + 40])
    damage = Damage()
    found = numbers(bytes(spoilt), damage)
    assert damage.holes + damage.torn >= 1
    assert len(records) - 130 <= len(found) < len(records)
    assert sorted(set(found)) == found


def test_what_is_not_gzip_has_no_lines() -> None:
    damage = Damage()
    assert list(lines_of(b"PK\x03\x04 something else", damage)) == []
    assert damage.holes == 1
    assert list(lines_of(b"", damage)) == []


def test_names_sort_by_their_number_whatever_the_clock_said() -> None:
    early = segment_name(9, begin_utc_s=1_800_000_000.0)
    late = segment_name(10, begin_utc_s=1_700_000_000.0)
    many = segment_name(1_000_000, begin_utc_s=0.0)
    assert segments_among([many, late, "notes.txt", f"{early}.part", early]) == [early, late, many]
    assert [part_of(name) for name in (early, late, many)] == [9, 10, 1_000_000]
    assert early == "000009-20270115T080000Z.jsonl.gz"
