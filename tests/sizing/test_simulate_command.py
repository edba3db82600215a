"""`edgectl simulate` as a person uses it: the real control, files in, figures and pictures out."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgectl.cli.main import main
from tests.sizing.yards import SITE_FILE, site_file, written

# At full power 2 x 32 A against 40 A on each phase; the second is full when it leaves.
ROWS = (
    "yard,s1,a,2023-11-15T10:00:00Z,2023-11-15T12:00:00Z,30.0,,3",
    "yard,s2,b,2023-11-15T10:00:00Z,2023-11-15T10:30:00Z,5.0,,3",
)


def simulate(folder: Path, *more: str, rows: tuple[str, ...] = ROWS) -> int:
    return main(
        [
            "simulate",
            "--site",
            str(site_file(folder)),
            "--sessions",
            str(written(folder, *rows)),
            "--out",
            str(folder / "out"),
            *more,
        ]
    )


def report(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "out" / "report.json").read_text())
    assert isinstance(found, dict)
    return found


def node(folder: Path) -> dict[str, float]:
    nodes = report(folder)["nodes"]
    assert isinstance(nodes, dict)
    return nodes["grid"]  # type: ignore[no-any-return]


def sessions(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "out" / "sessions.csv").open(newline="") as stream:
        return {row["session_id"]: row for row in csv.DictReader(stream)}


def test_two_vehicles_share_forty_amperes_and_then_one_has_what_it_can(tmp_path: Path) -> None:
    assert simulate(tmp_path) == 0
    found = report(tmp_path)
    # 20 A each on three phases give 13.8 kW: the second has its 5 kWh after 21.7 min. From its
    # departure at the latest the first has 32 A, 22.08 kW: more than enough for its 30 kWh.
    assert found["energy_delivered_kwh"] == pytest.approx(35.0, abs=0.01)
    assert found["sessions_full_pct"] == 100.0
    assert node(tmp_path)["peak_a"] == pytest.approx([40.0] * 3, abs=0.01)
    assert node(tmp_path)["over_s"] == 0.0
    second = sessions(tmp_path)["s2"]
    assert "2023-11-15T10:21:30Z" < second["last_energy_utc"] < "2023-11-15T10:22:30Z"
    assert found["rules_off"] == []


def test_a_scaled_limit_binds_as_if_the_file_said_so(tmp_path: Path) -> None:
    assert simulate(tmp_path, "--scale-limit", "grid=0.5") == 0
    found = report(tmp_path)
    # 10 A each give 6.9 kW for half an hour, then the one that stays has 20 A, 13.8 kW.
    assert node(tmp_path)["peak_a"] == pytest.approx([20.0] * 3, abs=0.01)
    assert found["energy_delivered_kwh"] == pytest.approx(3.45 + 3.45 + 13.8 * 1.5, abs=0.3)
    assert found["scaled"] == {"grid": 0.5}
    assert sessions(tmp_path)["s1"]["full"] == "0"


def test_who_is_full_and_stays_leaves_the_room_to_others(tmp_path: Path) -> None:
    rows = (
        "yard,s1,a,2023-11-15T10:00:00Z,2023-11-15T13:00:00Z,0.5,,3",
        "yard,s2,b,2023-11-15T10:00:00Z,2023-11-15T13:00:00Z,30.0,,3",
    )
    # One minimum fits, 5.52 kW. The first takes 6 min, 3 min until it is known to be full, 3 to 5
    # for its offer, and a turn of the last half hour, in which it might pre-heat; all else is the
    # second one's.
    assert simulate(tmp_path, "--scale-limit", "grid=0.2", rows=rows) == 0
    delivered = {name: float(one["delivered_kwh"]) for name, one in sessions(tmp_path).items()}
    assert delivered["s1"] == pytest.approx(0.5, abs=0.01)
    assert delivered["s2"] >= 5.52 * 2.35


def test_a_base_load_takes_its_room_first(tmp_path: Path) -> None:
    load = written(
        tmp_path,
        *(f"2023-11-15T{hour:02d}:00:00Z,13.8" for hour in range(8, 14)),
        header="timestamp_utc,kw",
        name="load.csv",
    )
    assert simulate(tmp_path, "--base-load", str(load)) == 0
    # 20 A are gone on each phase.
    assert node(tmp_path)["peak_a"] == pytest.approx([40.0] * 3, abs=0.01)
    delivered = [float(one["delivered_kwh"]) for one in sessions(tmp_path).values()]
    # 10 A each, then 20 A for the one that stays.
    assert delivered == pytest.approx([3.45 + 13.8 * 1.5, 3.45], abs=0.3)


def test_the_same_files_give_the_same_figures(tmp_path: Path) -> None:
    simulate(tmp_path)
    once = report(tmp_path)
    simulate(tmp_path)
    assert report(tmp_path) == once


def test_pictures_are_well_formed(tmp_path: Path) -> None:
    simulate(tmp_path)
    for name in ("load.svg", "busiest-day.svg", "sessions.svg"):
        picture = ET.fromstring((tmp_path / "out" / name).read_text())
        assert any(tag.tag.endswith("polyline") for tag in picture.iter()), name


def test_the_summary_and_json_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate(tmp_path, "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == report(tmp_path)
    assert "100 %" in printed.err
    simulate(tmp_path)
    assert "100.0 % of the sessions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--scale-limit", "feeder=0.5"), "no node feeder"),
        (("--scale-limit", "grid=-1"), "not NODE=FACTOR"),
        (("--scale-limit", "grid"), "not NODE=FACTOR"),
        (("--scale-limit", "grid=0.5", "--scale-limit", "grid=0.8"), "names grid twice"),
        (("--tick", "0.1"), "out of range"),
        (("--only", "elsewhere"), "no session of site"),
        (("--policy", "greedy"), "invalid choice"),
        (("--user-inputs", "absent.csv"), "cannot be read"),
        (("--base-load-node", "x", "--base-load", "absent.csv"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], says: str
) -> None:
    assert simulate(tmp_path, *more) == 2
    assert says in capsys.readouterr().err


def test_what_drivers_announced_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "session_id,requested_kwh,estimated_departure_utc"
    inputs = written(
        tmp_path,
        "s2,12.5,2023-11-15T11:00:00Z",
        "x,3,2023-11-15T11:00:00Z",
        header=header,
        name="i",
    )
    assert simulate(tmp_path, "--user-inputs", str(inputs)) == 0
    assert report(tmp_path)["sessions_announced"] == 1
    assert "announcements for 1 of them; for the others the true" in capsys.readouterr().out
    assert sessions(tmp_path)["s2"]["announced_kwh"] == "12.500"
    assert sessions(tmp_path)["s1"]["announced_kwh"] == "30.000"


def test_announcements_for_none_of_the_sessions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "session_id,requested_kwh,estimated_departure_utc"
    inputs = written(tmp_path, "x,3,2023-11-15T11:00:00Z", header=header, name="i")
    assert simulate(tmp_path, "--user-inputs", str(inputs)) == 2
    assert "none of its 1 announcements" in capsys.readouterr().err


def test_an_unknown_evse_needs_assign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (ROWS[0].replace(",a,", ",bay9,"),)
    assert simulate(tmp_path, rows=(ROWS[1], *rows)) == 2
    said = capsys.readouterr().err
    assert "--assign" in said
    assert "s.csv:3" in said
    assert simulate(tmp_path, rows=(ROWS[0].replace(",a,", ",,"),)) == 2
    assert "an EVSE without a name is not in site" in capsys.readouterr().err
    assert simulate(tmp_path, "--assign", rows=rows) == 0
    assert report(tmp_path)["sessions"] == 1


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert simulate(tmp_path, "--out", str(tmp_path / "file" / "out")) == 1
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "%" not in said, "it is said before the run, not after"


def test_a_folder_that_takes_no_file_is_said_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In /proc nobody can make a file, root included.
    assert simulate(tmp_path, "--out", "/proc/self") == 1
    said = capsys.readouterr().err
    assert "/proc/self cannot be written" in said
    assert "%" not in said, "it is said before the run, not after"


def test_a_bad_site_file_is_said_as_check_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SITE_FILE.replace("keba-p40", "keba-p4"))
    sessions_path = written(tmp_path, *ROWS)
    assert main(["simulate", "--site", str(path), "--sessions", str(sessions_path)]) == 2
    assert "no profile keba-p4" in capsys.readouterr().err
