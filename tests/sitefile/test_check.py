"""`edgectl check`: answers, exit codes and what people read."""

import json
from pathlib import Path

import pytest

from edgectl.cli.main import main
from tests.mqtt.keys import make_keys
from tests.sitefile.sites import CONFIG, GOOD, PROFILES, spoil


def check(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, str, str]:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    keys = make_keys(tmp_path)
    for made, name in ((keys.ca, "ca.pem"), (keys.cert, "gw.pem"), (keys.key, "gw.key")):
        made.rename(tmp_path / name)
    code = main(["check", str(path), "--profiles", str(PROFILES), *options])
    out, err = capsys.readouterr()
    return code, out, err


def test_answer_of_a_safe_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(GOOD, tmp_path, capsys, "--json")
    answer = json.loads(out)
    assert (code, err, answer["ok"]) == (0, "", True)
    assert (answer["errors"], answer["warnings"], answer["risks"]) == ([], [], [])
    assert answer["nodes"]["grid"] == {
        "limit_a": [100.0, 100.0, 100.0],
        "base_max_a": [20.0, 20.0, 20.0],
        "failsafe_a": [12.0, 12.0, 12.0],
        "return_a": [12.0, 12.0, 18.0],
        "short_a": [0.0, 0.0, 0.0],
        # 0.5 poll + 0.15 + KEBA: one write 0.1 + gap 0.5, interval 5, timeout 1, settle 10
        "physics_s": 17.25,
        "reaction": {
            "poll_s": 0.5,
            "decide_s": 0.15,
            "write_s": 5.6,
            "timeout_s": 1.0,
            "settle_s": 10.0,
            "evse": "e3",
            "link": "lan3",
            "again_s": 0.0,
        },
        "trip_s": 30.0,
    }
    panel = answer["nodes"]["panel"]
    assert "limit_a" not in panel
    # 2 EVSEs x 6 A x 3 phases x 253 V
    assert panel["failsafe_va"] == 9108.0
    assert panel["limit_va"] == 40000.0


def test_risk_is_a_no_until_it_is_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    risky = GOOD.replace("boot_a: 6}", "boot_a: 32}").replace("[20, 20, 20]", "[60, 50, 20]")
    code, out, _ = check(risky, tmp_path, capsys, "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (1, False)
    names = [risk["name"] for risk in answer["risks"]]
    assert names == ["power-returns/grid", "power-returns/panel"]
    assert answer["nodes"]["grid"]["short_a"] == [24.0, 14.0, 16.0]
    assert (
        "L1 is short of 24.0 A (base 60 A + EVSEs 64 A, limit 100 A)"
        in (answer["risks"][0]["text"])
    )

    half = f"{risky}accept_risks: [{names[0]}]\n"
    assert check(half, tmp_path, capsys)[0] == 1
    both = f"{risky}accept_risks: [{', '.join(names)}]\n"
    code, out, _ = check(both, tmp_path, capsys, "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (0, True)
    assert [risk["accepted"] for risk in answer["risks"]] == [True, True]


def test_people_are_told_how_to_accept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = check(GOOD.replace("trip_s: 30", "trip_s: 5"), tmp_path, capsys)
    assert code == 1
    assert "accept_risks: [slower-than-trip/grid]" in out
    assert "17.2 s" in out
    assert "not ok" in out


def test_people_are_told_what_helps_against_each_kind_of_risk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = GOOD.replace("trip_s: 30", "trip_s: 5")
    short = GOOD.replace("limit_a: [100, 100, 100]", "limit_a: [25, 25, 25]")
    both = slow.replace("limit_a: [100, 100, 100]", "limit_a: [25, 25, 25]")
    found = {
        text: " ".join(check(text, tmp_path, capsys)[1].split()) for text in (slow, short, both)
    }
    assert ["lower failsafe_a" in found[text] for text in (slow, short, both)] == [0, 1, 1]
    assert ["fewer chargers on the slowest" in found[text] for text in found] == [1, 0, 1]
    assert all("or accept each risk by its name: accept_risks: [" in out for out in found.values())


def test_details_show_where_the_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, plain, _ = check(GOOD, tmp_path, capsys)
    _, out, _ = check(GOOD, tmp_path, capsys, "--details")
    assert "slowest link" not in plain
    assert [line for line in out.splitlines() if len(line) > 80 and "/" not in line] == []
    (grid,) = (line for line in out.splitlines() if line.startswith("grid") and "lan3" in line)
    assert grid.split() == ["grid", "0.5", "0.15", "5.6", "1", "10", "17.2", "30", "lan3"]
    (lan3,) = (line for line in out.splitlines() if line.startswith("lan3"))
    assert lan3.split()[:4] == ["lan3", "tcp", "0", "1"]
    links = json.loads(check(GOOD, tmp_path, capsys, "--json")[1])["links"]
    assert links["lan2"]["evses"] == 2
    assert links["lan3"]["write_all_s"] == 5.6
    assert 0.0 < links["lan1"]["busy_share"] < links["lan3"]["busy_share"] < 1.0, "KEBA's pauses"


@pytest.mark.parametrize("name", ["small-depot.yaml", "demo-depot.yaml", "bus-depot.yaml"])
def test_report_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(CONFIG / name), "--profiles", str(PROFILES)]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80 and "/" not in line] == []
    assert "ok: the daemon will start with this file" in out
    for word in ("failsafe", "return", "short", "reacts", "trip"):
        assert word in out


def test_phases_that_differ_get_a_row_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = check(GOOD, tmp_path, capsys)
    assert [row for row in ("L1 ", "L2 ", "L3 ", "kVA") if row in out] == [
        "L1 ",
        "L2 ",
        "L3 ",
        "kVA",
    ]


def test_warnings_are_shown_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = spoil("unsigned: mtls", "unsigned: loopback")
    code, out, _ = check(text, tmp_path, capsys, "--json")
    assert code == 0
    assert {warning["code"] for warning in json.loads(out)["warnings"]} == {"unsigned_loopback"}
    assert "warnings:" in check(text, tmp_path, capsys)[1]


def test_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml"), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["errors"][0]["code"] == "unreadable"
