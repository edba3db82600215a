"""`edgectl dr`: the table, the proof and the export."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.evidence import SqliteEvidence, read_evidence
from edgectl.adapters.store import SqliteStore
from edgectl.cli.dr_show import dr_lines
from edgectl.cli.main import main
from edgectl.daemon.desk.audit import Audit
from edgectl.model.evidence import ChainName
from tests.cli.depot import api, tool
from tests.evidence.test_evidence import now

Captured = pytest.CaptureFixture[str]

EVENT: dict[str, Any] = {
    "event_id": "evt-20261124-0042",
    "program_id": "prog-1",
    "state": "active",
    "mandatory": True,
    "rank": "utility_mandatory",
    "targets": ["grid"],
    "from": "2026-11-24T16:30:00.000Z",
    "until": "2026-11-24T18:30:00.000Z",
    "limit_w": 600_000.0,
    "promised_w": 600_000.0,
    "impact": [{"evse": "bay07", "missing_wh": 12_300.0}],
    "now": {
        "baseline_method": "comparable_days",
        "baseline_w": 900_000.0,
        "promised_w": 600_000.0,
        "measured_w": 630_000.0,
        "delivered_w": 270_000.0,
        "shortfall_w": 30_000.0,
        "cause": "base_load",
    },
}
LIFTED: dict[str, Any] = {
    "event_id": "flex",
    "program_id": "prog-2",
    "state": "active",
    "rank": "utility_voluntary",
    "targets": ["tx1"],
    "from": "2026-11-24T16:30:00.000Z",
    "lifted_until": "2026-11-24T17:00:00.000Z",
    "lifted_by": "technician (local:uid-7)",
    "lifted_for": "bus 12 must leave",
    "lift_id": "local-1",
    "impact": [],
}
ANSWER: dict[str, Any] = {
    "events": [EVENT, LIFTED],
    "links": [{"program_id": "prog-2", "lost": True, "since": "2026-11-24T16:00:00.000Z"}],
    "chains": {"ledger": {"rows": 7, "hash": "ab" * 32}},
}


async def look(_words: Sequence[str], _query: Mapping[str, str]) -> object:
    return ANSWER


def test_the_table_says_what_is_asked_promised_and_drawn(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "dr", handler=api(looks={"dr": look}).handle) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = "EVENT STATE ASKED PROM. MEAN WHEN PROGRAM AT"
    assert lines[0].split() == heads.split()
    assert lines[1].split()[2:5] == ["600.0", "600.0", "630.0"]
    assert lines[2].split()[:3] == ["flex", "lifted", "-"]
    text = "\n".join(lines)
    for part in (
        "bay07 will miss 12.3 kWh",
        "set aside until 11-24 17:00Z by technician (local:uid-7): bus 12 must leave;",
        "`edgectl release local-1` ends that",
        "delivers 270.0 kW against a baseline of 900.0 kW (comparable days)",
        "30.0 kW above its promise in this quarter-hour so far, because of: base load",
        "prog-2 is not heard since 11-24 16:00Z",
        "ledger: 7 rows",
    ):
        assert part in text


def test_the_status_calls_an_event_lifted_too(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "status", handler=api(dr=[EVENT, LIFTED]).handle) == 0
    lines = capsys.readouterr().out.splitlines()
    (flex,) = (line for line in lines if line.startswith("flex "))
    assert flex.split()[:3] == ["flex", "prog-2", "lifted"]


COMING = [
    EVENT | {"event_id": f"e{n}", "state": "accepted", "from": f"2026-12-{n:02d}T16:30:00.000Z"}
    for n in range(30, 0, -1)
]
ODD = [
    EVENT | {"event_id": "a-name-that-is-longer-than-a-column", "limit_w": None, "limit_a": 20.0},
    EVENT | {"event_id": "sun", "limit_w": None, "export_w": 2_000.0},
    EVENT | {"event_id": "curve", "state": "refused", "code": "not_supported", "message": "no"},
]


def test_80_columns_and_24_lines_show_the_figures_and_what_is_under_way() -> None:
    answer = {"events": [*COMING, *ODD], "links": [], "chains": {}}
    lines = dr_lines(answer, width=80, every=False)
    assert lines[0].index("PROGRAM") < 70, "all figures and times are before it"
    assert [line.split()[0] for line in lines[1:5]] == ["a-name-that-is->", "sun", "e1", "e2"]
    assert lines[1].split()[2:4] == ["20", "A"]
    text = " ".join(line.strip() for line in lines)
    for part in (
        "and 18 more to come: `edgectl dr --all`",
        "a-name-that-is-> is a-name-that-is-longer-than-a-column",
        "sun: may be fed back at most 2.0 kW; that is watched, not commanded",
    ):
        assert part in text
    whole = dr_lines(answer, width=80, every=True)
    assert len([line for line in whole if " accepted " in line]) == 30
    assert "curve: refused (not_supported): no; it is only recorded" in " ".join(whole)


def test_in_json_as_the_daemon_says_it(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "dr", "--json", handler=api(looks={"dr": look}).handle) == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


def row(number: int, **changes: Any) -> dict[str, object]:
    return {
        "event": "evt",
        "program": "prog",
        "modified": "2026-11-24T14:00:00.000Z",
        "at": "grid",
        "interval": number,
        "from": f"2026-11-2{number}T16:30:00.000Z",
        "until": f"2026-11-2{number}T16:45:00.000Z",
        "baseline_method": "none",
        "measured_w": 1000.0 * number,
        "good_part": 1.0,
        "quality": "OK",
        **changes,
    }


def keep(folder: Path, count: int = 5, first: int = 1) -> str:
    """A folder as a daemon leaves it; the newest row as a report told it."""

    async def write() -> str:
        evidence = SqliteEvidence(folder / "evidence.db")
        store = SqliteStore(folder / "state.db")
        await evidence.open()
        await store.open()
        audit = Audit(evidence=evidence, store=store)
        await audit.load(now(0.0))
        head = await evidence.append(
            ChainName.LEDGER, [row(n) for n in range(first, first + count)]
        )
        await audit.tick(now(1.0))
        await evidence.close()
        await store.close()
        return f"{head.number}:{head.hash}"

    return asyncio.run(write())


def verify(folder: Path, *words: str) -> int:
    return main(["dr", "verify", "--state", str(folder), *words])


def test_whole_evidence_is_whole(tmp_path: Path, capsys: Captured) -> None:
    head = keep(tmp_path)
    capsys.readouterr()
    assert verify(tmp_path, "--head", head, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert (answer["chains"]["ledger"]["rows"], answer["chains"]["audit"]["rows"]) == (5, 1)
    assert verify(tmp_path) == 0
    assert f"ledger: whole, 5 rows, newest\n  {head}\n" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [1, 5])
def test_a_restart_does_not_cover_up_what_was_cut_off(
    rows: int, tmp_path: Path, capsys: Captured
) -> None:
    """The daemon that starts on it says so, and `verify` does for ever after."""
    keep(tmp_path)
    with closing(sqlite3.connect(tmp_path / "evidence.db")) as db:
        db.execute("DELETE FROM rows WHERE chain = 'ledger' AND number > ?", (5 - rows,))
        db.commit()
    keep(tmp_path, first=3)
    capsys.readouterr()
    assert verify(tmp_path) == 1
    out = capsys.readouterr().out
    assert "audit: whole" in out
    assert "row 5 is not the one told elsewhere" in out
    text = "".join(r.text for r in read_evidence(tmp_path / "evidence.db", ChainName.AUDIT))
    assert '"result":"broken"' in text


TAMPERED = {
    "changed": "UPDATE rows SET text = replace(text, '2000', '1') WHERE number = 2",
    "one missing": "DELETE FROM rows WHERE chain = 'ledger' AND number = 3",
    "first missing": "DELETE FROM rows WHERE chain = 'ledger' AND number = 1",
    "end cut off": "DELETE FROM rows WHERE chain = 'ledger' AND number = 5",
    "all gone": "DELETE FROM rows WHERE chain = 'ledger'",
    "audit record gone": "DELETE FROM rows WHERE chain = 'audit'",
    "two exchanged": "UPDATE rows SET text = (SELECT text FROM rows b WHERE b.chain = rows.chain"
    " AND b.number = 7 - rows.number) WHERE chain = 'ledger' AND number IN (3, 4)",
    "start moved": "INSERT INTO before_first SELECT chain, number, hash FROM rows"
    " WHERE chain = 'ledger' AND number = 2",
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_with_the_file_is_found(name: str, tmp_path: Path, capsys: Captured) -> None:
    keep(tmp_path)
    with closing(sqlite3.connect(tmp_path / "evidence.db")) as db:
        assert db.execute(TAMPERED[name]).rowcount
        db.commit()
    assert verify(tmp_path) == 1
    assert "NOT WHOLE" in capsys.readouterr().out


def test_a_beginning_that_is_gone_is_not_excused_by_a_bound_that_was_never_reached(
    tmp_path: Path, capsys: Captured
) -> None:
    keep(tmp_path)
    with closing(sqlite3.connect(tmp_path / "evidence.db")) as db:
        db.execute(TAMPERED["start moved"])
        db.execute("DELETE FROM rows WHERE chain = 'ledger' AND number <= 2")
        db.commit()
    assert verify(tmp_path) == 1
    assert "rows 1 to 2 are missing" in capsys.readouterr().out


def test_a_chain_made_anew_is_found_by_what_was_told_upstream(tmp_path: Path) -> None:
    told = keep(tmp_path)
    for name in ("evidence.db", "state.db"):
        for path in tmp_path.glob(f"{name}*"):
            path.unlink()
    keep(tmp_path, count=6)
    assert verify(tmp_path) == 0
    assert verify(tmp_path, "--head", told) == 0
    number, _, digest = told.partition(":")
    assert verify(tmp_path, "--head", f"{number}:{digest[::-1]}") == 1
    assert verify(tmp_path, "--head", f"9:{digest}") == 1


@pytest.mark.parametrize("head", ["", "1", "x:y", "1:abc"])
def test_a_head_that_is_none_is_bad_input(head: str, tmp_path: Path) -> None:
    keep(tmp_path)
    assert verify(tmp_path, "--head", head) == 2


def test_export_is_csv_with_the_chain(tmp_path: Path, capsys: Captured) -> None:
    told = keep(tmp_path)
    capsys.readouterr()
    words = ["dr", "export", "--state", str(tmp_path)]
    assert main([*words, "--from", "2026-11-22", "--until", "2026-11-24T16:31Z"]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(one["interval"], one["measured_w"]) for one in found] == [
        ("2", "2000.0"),
        ("3", "3000.0"),
        ("4", "4000.0"),
    ]
    assert main([*words, "--out", str(tmp_path / "x.csv")]) == 0
    text = (tmp_path / "x.csv").read_text(encoding="utf-8")
    last = list(csv.DictReader(io.StringIO(text)))[-1]
    assert f"{last['number']}:{last['hash']}" == told
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["event"] == "evt"
    assert main([*words, "--from", "yesterday"]) == 2


def test_evidence_that_is_gone_is_not_whole_and_another_folder_is_no_answer(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "other").mkdir()
    assert verify(tmp_path / "other") == 2
    assert "--state" in capsys.readouterr().err
    assert main(["dr", "export", "--state", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().out == ""
    keep(tmp_path)
    for path in tmp_path.glob("evidence.db*"):
        path.unlink()
    assert verify(tmp_path) == 1
    assert "noted beside it" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: Captured) -> None:
    keep(tmp_path)
    assert main(["dr", "export", "--state", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} cannot be written: Is a directory" in capsys.readouterr().err
