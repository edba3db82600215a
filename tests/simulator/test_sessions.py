"""Sessions: the built-in evening, and recorded files with everything that can be wrong in them."""

from pathlib import Path

import pytest

from edgectl.errors import BadInput
from edgectl.simulator.demo.recorded import busiest_window_s, compress
from edgectl.simulator.session_file import COLUMNS, Recorded, read_sessions
from edgectl.simulator.sessions import built_in_sessions
from tests.simulator.world import site

HEADER = ",".join(COLUMNS)
GOOD = "yard,s1,e1,2018-03-01T17:00:00Z,2018-03-01T19:00:00Z,14.0,7,1"
EVSES = site().evses


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "sessions.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_the_built_in_evening_gives_every_evse_a_stay_inside_the_run() -> None:
    sessions = built_in_sessions(EVSES, duration_s=90.0, voltage_v=230.0)
    assert [session.evse for session in sessions] == ["c1", "c2", "k1", "w1"]
    for session in sessions:
        assert 0.0 < session.arrival_s < 90.0 < session.departure_s + 30.0
        assert session.vehicle.energy_wh > 0.0
        assert session.vehicle.follow_s + 26.0 / 16.0 <= 5.0


def test_a_row_is_read_with_its_units(tmp_path: Path) -> None:
    assert read_sessions(written(tmp_path, GOOD)) == (
        Recorded(
            site="yard",
            session_id="s1",
            evse="e1",
            arrival_utc_s=1519923600.0,
            departure_utc_s=1519930800.0,
            energy_wh=14_000.0,
            max_power_w=7_000.0,
            phases=1,
            line=2,
        ),
    )


def test_power_and_phases_may_be_blank(tmp_path: Path) -> None:
    row = "yard,s1,e1,2018-03-01T17:00:00Z,2018-03-01T19:00:00Z,14.0,,"
    (session,) = read_sessions(written(tmp_path, row))
    assert (session.max_power_w, session.phases) == (None, None)


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("yard,s,e,yesterday,2018-03-01T19:00:00Z,1,,", "arrival_utc", "bad_time"),
        ("yard,s,e,2018-03-01T17:00:00Z,,1,,", "departure_utc", "bad_time"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T17:00:00Z,1,,", "departure_utc", "bad_order"),
        ("yard,s,e,2018-03-01T17:00:00Z,2028-03-01T19:00:00Z,1,,", "departure_utc", "too_long"),
        ("yard,s,e,2018-03-01T17:00:00Z,9999-12-31T23:59:59Z,1,,", "departure_utc", "bad_time"),
        ("yard,s,e,0001-01-01T00:00:00Z,2018-03-01T18:00:00Z,1,,", "arrival_utc", "bad_time"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z,-1,,", "energy_kwh", "bad_number"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z,nan,,", "energy_kwh", "bad_number"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z", "energy_kwh", "bad_number"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z,1,7kW,", "max_power_kw", "bad_number"),
        ("yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z,1,7,4", "phases", "bad_number"),
    ],
)
def test_a_bad_cell_is_named_with_file_line_column_and_remedy(
    tmp_path: Path, row: str, column: str, code: str
) -> None:
    path = written(tmp_path, GOOD, row)
    with pytest.raises(BadInput) as caught:
        read_sessions(path)
    (finding,) = caught.value.findings
    assert (finding.file, finding.line, finding.path, finding.code) == (str(path), 3, column, code)
    assert finding.remedy


def test_every_bad_line_is_named_at_once(tmp_path: Path) -> None:
    bad = "yard,s,e,2018-03-01T17:00:00Z,2018-03-01T18:00:00Z,x,,"
    with pytest.raises(BadInput) as caught:
        read_sessions(written(tmp_path, bad, GOOD, bad))
    assert [finding.line for finding in caught.value.findings] == [2, 4]


def test_a_wrong_file_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lacks energy_kwh"):
        read_sessions(written(tmp_path, header=HEADER.replace("energy_kwh", "energy")))
    with pytest.raises(BadInput, match="no session"):
        read_sessions(written(tmp_path))
    with pytest.raises(BadInput, match="cannot be read"):
        read_sessions(tmp_path / "absent.csv")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_sessions(tmp_path / "picture")
    (tmp_path / "empty").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="lacks site"):
        read_sessions(tmp_path / "empty")
    with pytest.raises(BadInput, match="is not CSV"):
        read_sessions(written(tmp_path, "x" * 200_000))


def recorded(start_h: float, end_h: float, **more: float | None) -> Recorded:
    facts = {"energy_wh": 7_000.0, "max_power_w": None, "phases": None, "line": 2}
    return Recorded(
        site="yard",
        session_id="s1",
        evse="e1",
        arrival_utc_s=start_h * 3600.0,
        departure_utc_s=end_h * 3600.0,
        **{**facts, **more},  # type: ignore[arg-type]
    )


def test_the_busiest_two_hours_are_taken_the_earliest_of_equals() -> None:
    alone = [recorded(0.0, 1.0)]
    crowd = [recorded(10.0, 12.0), recorded(10.5, 12.0), recorded(11.0, 12.0)]
    assert busiest_window_s(alone + crowd) == 10.0 * 3600.0
    assert busiest_window_s([recorded(5.0, 6.0), recorded(50.0, 51.0)]) == 5.0 * 3600.0
    # Who came before and still is there counts.
    assert busiest_window_s([recorded(0.0, 30.0), recorded(29.0, 30.0)]) == 0.0


def test_times_and_energies_shrink_alike_and_powers_stay() -> None:
    rows = [recorded(10.0, 11.0), recorded(10.5, 12.0, max_power_w=7_360.0), recorded(11.0, 12.0)]
    sessions = compress(rows, EVSES[:2], duration_s=72.0, voltage_v=230.0)
    # 2 h into 72 s: a hundredth
    assert [session.evse for session in sessions] == ["c1", "c2"]
    first, second = sessions
    assert first.arrival_s == pytest.approx(2.0)
    assert first.departure_s == pytest.approx(36.0)
    assert first.vehicle.energy_wh == pytest.approx(70.0)
    assert (first.vehicle.phases, first.vehicle.max_a) == (3, 32.0)
    assert second.arrival_s == pytest.approx(18.0)
    assert (second.vehicle.phases, second.vehicle.max_a) == (1, 32.0)


def test_a_free_evse_is_used_again_and_who_finds_none_is_left_out() -> None:
    rows = [recorded(10.0, 10.5), recorded(10.1, 10.2), recorded(11.0, 12.0)]
    sessions = compress(rows, EVSES[:1], duration_s=72.0, voltage_v=230.0)
    assert [(s.evse, s.arrival_s) for s in sessions] == [("c1", 2.0), ("c1", 36.0)]


def test_the_same_file_gives_the_same_sessions() -> None:
    rows = [recorded(10.0 + k / 7.0, 11.0 + k / 5.0) for k in range(20)]
    once = compress(rows, EVSES, duration_s=90.0, voltage_v=230.0)
    assert compress(list(reversed(rows)), EVSES, duration_s=90.0, voltage_v=230.0) == once


def test_the_recorded_council_sites_fill_a_depot() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "sessions"
    path = folder / "dundee_council_sites_2017-09_2018-09.csv"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    rows = read_sessions(path)
    assert len(rows) == 8071
    evses = [EVSES[0]] * 12
    sessions = compress(rows, evses, duration_s=90.0, voltage_v=230.0)
    assert sum(session.arrival_s < 10.0 for session in sessions) >= 8


@pytest.mark.parametrize(("mark", "named"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named(tmp_path: Path, mark: str, named: str) -> None:
    path = written(tmp_path, GOOD.replace(",", mark), header=HEADER.replace(",", mark))
    with pytest.raises(BadInput) as caught:
        read_sessions(path)
    (finding,) = caught.value.findings
    assert (finding.line, finding.code) == (1, "not_commas")
    assert named in finding.message
    assert "commas" in finding.remedy


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_sessions(written(tmp_path, GOOD + ",9.0", header=HEADER + ",energy_kwh"))
    (finding,) = caught.value.findings
    assert (finding.line, finding.code) == (1, "doubled_column")
    assert "energy_kwh" in finding.message


def test_further_columns_are_left_alone(tmp_path: Path) -> None:
    (session,) = read_sessions(written(tmp_path, GOOD + ",blue", header=HEADER + ",colour"))
    assert session.session_id == "s1"


def test_a_line_with_a_decimal_comma_is_named_and_not_read_askew(tmp_path: Path) -> None:
    askew = "yard,s1,e1,2018-03-01T17:00:00Z,2018-03-01T19:00:00Z,14,3,7,1"
    with pytest.raises(BadInput) as caught:
        read_sessions(written(tmp_path, GOOD, askew))
    (finding,) = caught.value.findings
    assert (finding.line, finding.code) == (3, "too_many_cells")
    assert "decimal point" in finding.remedy
