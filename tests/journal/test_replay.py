"""`edgectl replay`: bit for bit as recorded, and what another site file would have told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.crash_record import CrashRecordFiles
from edgectl.cli.main import main
from edgectl.contract.segment import SegmentWriter, segment_name
from edgectl.model.record import TickRecord
from edgectl.simulator import virtual_time
from edgectl.units import EvseId
from tests.journal.recorded import SITE, run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    file = tmp_path / "case.jsonl.gz"
    file.write_bytes(run()[0])
    return file


def written(records: list[TickRecord]) -> bytes:
    writer = SegmentWriter(version="1")
    return b"".join([*(writer.add(record) for record in records), writer.end()])


def answer(capsys: Captured, *words: object, code: int) -> dict[str, Any]:
    assert main(["replay", *map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def site_file(tmp_path: Path, old: str = "", new: str = "") -> Path:
    """The site that was recorded, as a file, with one change."""
    lines = [
        "site: {id: yard, region: field, timezone: UTC, voltage_v: 230, mode: control}",
        "nodes:",
        "  - {id: grid, limit_a: [50, 50, 50], base_max_a: [20, 20, 20], margin_a: 1, trip_s: 60}",
        "links:",
        "  - {id: l-m-grid, kind: tcp, host: 127.0.0.1, port: 15020}",
        "  - {id: l-c1, kind: tcp, host: 127.0.0.1, port: 15021}",
        "  - {id: l-k1, kind: tcp, host: 127.0.0.1, port: 15022}",
        "  - {id: l-w1, kind: tcp, host: 127.0.0.1, port: 15023}",
        "meters:",
        "  - {id: m-grid, node: grid, profile: janitza-umg96rm, link: l-m-grid, unit: 1,",
        "     poll_s: 0.5}",
        "evses:",
        *(
            f"  - {{id: {id_}, node: grid, profile: {profile}, link: l-{id_}, unit: 255,"
            " connector: 1, phases: [1, 2, 3], max_a: 32.0, failsafe_a: 6, boot_a: 6.0,"
            " watchdog_s: 20.0, poll_s: 1}"
            for id_, profile in (
                ("c1", "phoenix-charx-sec"),
                ("k1", "keba-p40"),
                ("w1", "webasto-next"),
            )
        ),
        'caps: [{node: grid, kw: 25, from: "00:02", to: "00:03"}]',
        "programs: [{id: prog, kind: mandatory, default_unit: KW, recover_within_s: 0}]",
    ]
    text = "\n".join(lines) + "\n"
    assert not old or text.count(old) == 1
    file = tmp_path / "site.yaml"
    file.write_text(text.replace(old, new) if old else text)
    return file


def between(since_s: float, until_s: float) -> int:
    """How many steps were in an interval of the recorded day."""
    begin_utc_s = virtual_time.START_UTC_S
    return sum(since_s <= record.now.utc_s - begin_utc_s <= until_s for record in run()[1])


def test_a_run_with_faults_comes_out_bit_for_bit(journal: Path, capsys: Captured) -> None:
    found = answer(capsys, journal, code=0)
    records = run()[1]
    assert found["ok"]
    assert found["steps"] == found["exact"] == found["same"] == len(records)
    assert found["torn"] == found["holes"] == found["passed_over"] == 0
    assert {id_: one["differing"] for id_, one in found["evses"].items()} == {
        "c1": 0,
        "k1": 0,
        "w1": 0,
    }
    assert main(["replay", str(journal)]) == 0
    said = capsys.readouterr().out
    assert "all as recorded, bit for bit" in said
    assert "site yard, recorded by edgectl simulated" in said
    assert max(map(len, said.splitlines())) <= 80


def test_one_bit_that_differs_is_found(tmp_path: Path, capsys: Captured) -> None:
    records = list(run()[1])
    at = 150
    evses = records[at].state.evses
    state = replace(
        records[at].state,
        evses={**evses, EvseId("c1"): replace(evses[EvseId("c1")], excess_a=5e-324)},
    )
    records[at] = replace(records[at], state=state)
    file = tmp_path / "case.jsonl.gz"
    file.write_bytes(written(records))
    found = answer(capsys, file, code=1)
    assert found["same"] == found["steps"]
    assert found["exact"] == found["steps"] - 1
    assert main(["replay", str(file)]) == 1
    assert f"step {records[at].number}" in capsys.readouterr().out


def test_another_decision_than_recorded_is_shown_with_both(
    tmp_path: Path, capsys: Captured
) -> None:
    records = list(run()[1])
    decision = records[150].decision
    one = replace(decision.evses[EvseId("c1")], setpoint_a=31.0)
    records[150] = replace(
        records[150], decision=replace(decision, evses={**decision.evses, EvseId("c1"): one})
    )
    file = tmp_path / "case.jsonl.gz"
    file.write_bytes(written(records))
    assert main(["replay", str(file)]) == 1
    said = capsys.readouterr().out
    assert "1 step(s) decide differently than recorded" in said
    assert "c1: 31.0 A (" in said
    found = answer(capsys, file, code=1)
    assert found["evses"]["c1"]["differing"] == 1
    assert found["evses"]["c1"]["first"]["recorded"]["setpoint_a"] == 31.0


def test_the_same_site_from_a_file_decides_the_same(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    found = answer(capsys, journal, "--site", site_file(tmp_path), code=0)
    assert found["same"] == found["steps"]


def test_another_site_file_shows_the_differences_of_each_evse(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    smaller = site_file(tmp_path, "limit_a: [50, 50, 50]", "limit_a: [35, 35, 35]")
    found = answer(capsys, journal, "--site", smaller, code=0)
    assert found["other_site"]
    assert found["same"] < found["steps"]
    for one in found["evses"].values():
        assert one["differing"] > 50
        assert one["replayed_mean_a"] < one["recorded_mean_a"]
    assert main(["replay", str(journal), "--site", str(smaller)]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{bay} " in said for bay in ("c1", "k1", "w1"))
    assert "  c1: 6.0 A (silent) -> 0.0 A (silent)" in said
    assert max(map(len, said.splitlines())) <= 100


def test_what_is_told_alike_and_yet_differs_says_in_what(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    text = site_file(tmp_path).read_text()
    without = tmp_path / "without.yaml"
    gone = ("{id: k1,", "{id: l-k1,")
    without.write_text("\n".join(ln for ln in text.splitlines() if not any(g in ln for g in gone)))
    assert main(["replay", str(journal), "--site", str(without)]) == 0
    said = capsys.readouterr().out
    assert "not in this site file: k1" in said
    assert "on the readings of\nthen" in said
    assert "  w1: 6.0 A (waits_for_room grid.1), but for allocation_a" in said


def test_the_caps_of_the_other_site_file_hold(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    without = site_file(tmp_path, 'caps: [{node: grid, kw: 25, from: "00:02", to: "00:03"}]', "")
    found = answer(capsys, journal, "--site", without, code=0)
    first = min(one["first"]["t"] for one in found["evses"].values() if "first" in one)
    assert "00:02:0" in first


def test_an_evse_that_is_new_or_gone_is_named(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    renamed = site_file(tmp_path, "{id: w1,", "{id: w9,")
    found = answer(capsys, journal, "--site", renamed, code=0)
    assert (found["only_recorded"], found["only_replayed"]) == (["w1"], ["w9"])
    assert set(found["evses"]) == {"c1", "k1"}
    assert main(["replay", str(journal), "--site", str(renamed)]) == 0
    said = capsys.readouterr().out
    assert "not in this site file: w1" in said
    assert "never heard: w9" in said


@pytest.mark.parametrize(
    ("since", "until"),
    [("00:01:30", "00:02:10"), ("2026-01-01T00:01:30Z", "2026-01-01T01:02:10+01:00")],
)
def test_an_interval_is_replayed_from_its_own_state(
    journal: Path, since: str, until: str, capsys: Captured
) -> None:
    found = answer(capsys, journal, "--from", since, "--to", until, code=0)
    assert found["exact"] == found["steps"] == between(90.0, 130.0)
    assert found["from"].startswith("2026-01-01T00:01:30")
    assert found["to"].startswith("2026-01-01T00:02:09")


def test_a_case_is_cut_out_and_replays_by_itself(
    journal: Path, tmp_path: Path, capsys: Captured
) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    answer(capsys, journal, "--from", "00:01:30", "--to", "00:02:10", "--save", cut, code=0)
    found = answer(capsys, cut, code=0)
    assert found["exact"] == found["steps"] == between(90.0, 130.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.jsonl.gz", "cut.jsonl.gz"]


def test_a_folder_is_read_in_the_order_of_its_numbers_and_says_what_is_gone(
    tmp_path: Path, capsys: Captured
) -> None:
    records = list(run()[1])
    folder = tmp_path / "journal"
    folder.mkdir()
    for part, (begin, end) in enumerate(((0, 80), (80, 160), (160, 240)), start=9):
        writer = SegmentWriter(version="1", part=part, first_part=9)
        data = b"".join(writer.add(record) for record in records[begin:end])
        name = segment_name(part, begin_utc_s=2e9 - part)
        (folder / name).write_bytes(data[:-200] if part == 10 else data + writer.end())
    found = answer(capsys, folder, code=0)
    assert found["segments"] == 3
    assert found["segments_dropped"] == 8
    assert found["torn"] == 1
    assert 237 <= found["steps"] == found["exact"] < 240
    assert main(["replay", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "8 older segment(s) were dropped" in said
    assert "1 segment(s) end in the middle of a step" in said


def in_segments(folder: Path) -> list[Path]:
    """The recorded minutes, one in each segment."""
    records = run()[1]
    folder.mkdir()
    files = []
    for part, begin in enumerate(range(0, len(records), 60), start=1):
        file = folder / segment_name(part, begin_utc_s=2e9 + begin)
        file.write_bytes(written(list(records[begin : begin + 60])))
        files.append(file)
    return files


@pytest.mark.parametrize("which", [0, 1, -1])
@pytest.mark.parametrize("left", ["zeros", "half zeros"])
def test_a_segment_that_a_power_failure_spoilt_leaves_the_others_readable(
    which: int, left: str, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "journal"
    file = in_segments(folder)[which]
    data = file.read_bytes()
    intact = data[len(data) // 2 :] if left == "half zeros" else b""
    file.write_bytes(bytes(len(data) - len(intact)) + intact)
    found = answer(capsys, folder, code=0)
    assert found["holes"] >= 1
    records = len(run()[1])
    assert records - 60 <= found["steps"] == found["exact"] < records


def test_a_segment_that_is_not_there_is_said(tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "journal"
    files = in_segments(folder)
    assert answer(capsys, folder, code=0)["segments_missing"] == 0
    files[1].unlink()
    assert answer(capsys, folder, code=0)["segments_missing"] == 1
    assert main(["replay", str(folder)]) == 0
    assert "1 segment(s) between others are missing" in capsys.readouterr().out


def test_lines_that_zcat_made_are_read_too(tmp_path: Path, capsys: Captured) -> None:
    import gzip

    file = tmp_path / "case.jsonl"
    file.write_bytes(gzip.decompress(run()[0]))
    assert answer(capsys, file, code=0)["exact"] == len(run()[1])


def test_the_record_of_a_broken_step_is_stepped_again(tmp_path: Path, capsys: Captured) -> None:
    record = run()[1][100]
    CrashRecordFiles(tmp_path).keep(
        snapshot=record.snapshot, state=record.before, now=record.now, error="InvariantBroken('x')"
    )
    (file,) = tmp_path.iterdir()
    assert answer(capsys, file, code=0) == {
        "ok": True,
        "recorded": "InvariantBroken('x')",
        "now": None,
    }
    site = record.snapshot.site
    nodes = (replace(site.nodes[0], limit_a=(float("nan"),) * 3), *site.nodes[1:])
    CrashRecordFiles(tmp_path).keep(
        snapshot=replace(record.snapshot, site=replace(site, nodes=nodes)),
        state=record.before,
        now=record.now,
        error="again",
    )
    assert main(["replay", str(file)]) == 1
    assert "now:      " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (None, (), "No such file"),
        (b"", (), "there is no journal in it"),
        (b"nonsense\n", (), "this is no journal"),
        (b'{"error": "x"}\nhalf', (), "not whole"),
        (b"\x1f\x8b\x08 not gzip after all", (), "there is no journal in it"),
        ("good", ("--from", "noon"), "this is no time"),
        ("good", ("--from", "2027-01"), "this is no time"),
        ("good", ("--from", "2027-01-01"), "no step is recorded in that time"),
        ("good", ("--to", "00:00"), "no step is recorded in that time"),
        ("good", ("--site", "none.yaml"), "none.yaml"),
        ("good", ("--save", "/nowhere/case.jsonl.gz"), "/nowhere/case.jsonl.gz cannot be written"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    content: bytes | str | None, words: tuple[str, ...], said: str, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "case.jsonl.gz"
    if content is not None:
        file.write_bytes(run()[0] if isinstance(content, str) else content)
    assert main(["replay", str(file), *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_the_recorded_site_is_the_one_that_the_test_writes(tmp_path: Path) -> None:
    from edgectl.sitefile.load import load_site

    assert load_site(site_file(tmp_path)).site == SITE.site
