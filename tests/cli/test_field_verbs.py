"""`events`, `devices`, `target`, `isolate`, `read` and `write` through the daemon."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edgectl.contract.local_tool import (
    DeviceReport,
    DevicesAnswer,
    EventsAnswer,
    LinkReport,
    NumberedEvent,
    RegisterAnswer,
    WriteAnswer,
)
from edgectl.contract.vocabulary import EventCode, Severity
from edgectl.errors import Refused
from tests.api.world import BAYS, FakeDesk, FixedFacts, evse_decision, record
from tests.cli.depot import api, tool

Captured = pytest.CaptureFixture[str]

DEVICE = DeviceReport(
    id="bay01",
    kind="charger",
    profile="keba-p40",
    title="KEBA KeContact P40",
    unit=255,
    connector=1,
    node="tx1",
    age_s=0.8,
    requests=120,
    answers=118,
    misses=2,
    exceptions=0,
    round_trip_ms=12.4,
    last_error="no answer within 1 s",
    quantities=["state", "setpoint_a"],
    writable=["setpoint_a"],
)
DEVICES = DevicesAnswer(
    links=[
        LinkReport(
            id="lan1",
            kind="tcp",
            where="10.0.0.21 port 502",
            connected=True,
            since_s=640.0,
            connects=1,
            failed_connects=0,
            devices=[DEVICE],
        ),
        LinkReport(
            id="lan2",
            kind="tcp",
            where="10.0.0.22 port 502",
            connected=False,
            since_s=7.0,
            connects=0,
            failed_connects=3,
            last_error="10.0.0.22 port 502 refuses the connection or cannot be reached",
            devices=[],
        ),
    ]
)


def event(number: int, minute: int, severity: Severity = Severity.INFO) -> NumberedEvent:
    return NumberedEvent(
        number=number,
        code=EventCode.EVSE_STATE,
        severity=severity,
        id="bay01",
        t=f"2027-01-15T07:{minute:02d}:00.000Z",
        text=f"bay01 went from absent to plugged ({number})",
    )


EVENTS = EventsAnswer(
    events=[event(1, 10), event(2, 50, Severity.ALARM), event(3, 59)],
    at="2027-01-15T08:00:00.000Z",
    last=3,
)


async def look_at_events(_words: Sequence[str], query: Mapping[str, str]) -> object:
    wanted = [one for one in EVENTS.events if query.get("id") in {None, one.id}]
    return EVENTS.model_copy(update={"events": wanted}).to_json()


async def look_at_devices(_words: Sequence[str], _query: Mapping[str, str]) -> object:
    return DEVICES.to_json()


def register(value: float, *, guarded: str | None = None) -> RegisterAnswer:
    return RegisterAnswer(
        device="bay01",
        link="lan1",
        name="holding:1230",
        kind="holding",
        unit_id=255,
        address=1230,
        words=[int(value)],
        value=value,
        writable=True,
        guarded=guarded,
    )


class Bench:
    """A register that a test sets; writes are kept unless it is stuck."""

    def __init__(self, *, guarded: str | None = None, stuck: bool = False) -> None:
        self.value = 5.0
        self.written: list[tuple[Sequence[str], Mapping[str, object]]] = []
        self._guarded = guarded
        self._stuck = stuck

    async def read(self, words: Sequence[str], _query: Mapping[str, str]) -> object:
        if words[1] == "nothing":
            raise Refused(code="no_answer", message="no answer within 1 s", remedy="look at it")
        return register(self.value, guarded=self._guarded).to_json()

    async def write(self, words: Sequence[str], body: Mapping[str, object]) -> object:
        self.written.append((words, body))
        before, value = self.value, body["value"]
        assert isinstance(value, float)
        if not self._stuck:
            self.value = value
        return WriteAnswer(
            device="bay01",
            name="holding:1230",
            address=1230,
            words=[int(value)],
            before=register(before),
            after=register(self.value),
        ).to_json()


def run(
    folder: Path, *words: str, bench: Bench | None = None, facts: FixedFacts | None = None
) -> tuple[int, FakeDesk]:
    desk, table = FakeDesk(), bench or Bench()
    looks = {"events": look_at_events, "devices": look_at_devices, "read": table.read}
    handler = api(desk=desk, facts=facts, looks=looks, acts={"write": table.write}).handle
    return tool(folder, *words, handler=handler), desk


def test_events_are_shown_a_line_each_with_how_loud_they_are(
    tmp_path: Path, capsys: Captured
) -> None:
    assert run(tmp_path, "events")[0] == 0
    assert capsys.readouterr().out.splitlines() == [
        "01-15 07:10:00  bay01 went from absent to plugged (1)",
        "01-15 07:50:00  ALARM: bay01 went from absent to plugged (2)",
        "01-15 07:59:00  bay01 went from absent to plugged (3)",
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--since", "15m"], [2, 3]),
        (["--since", "2027-01-15T07:55:00Z"], [3]),
        (["--last", "1"], [3]),
        (["--at-least", "warning"], [2]),
        (["bay09"], []),
    ],
)
def test_events_are_chosen(
    tmp_path: Path, capsys: Captured, words: list[str], numbers: list[int]
) -> None:
    assert run(tmp_path, "events", *words, "--json")[0] == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in answer["events"]] == numbers


def test_that_nothing_happened_is_said(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, "events", "bay09")[0] == 0
    assert capsys.readouterr().out.startswith("nothing that was asked for has happened")


@pytest.mark.parametrize(
    "words", [["--since", "yesterday"], ["--since", "2027-01-15T07:55:00"], ["--last", "0"]]
)
def test_events_since_nonsense(tmp_path: Path, capsys: Captured, words: list[str]) -> None:
    assert run(tmp_path, "events", *words)[0] == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_devices_by_link(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, "devices")[0] == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["bay01", "lan1", "keba-p40", "255.1", "1s", "2", "12ms"]
    assert any(line.startswith("lan2 (10.0.0.22 port 502): NOT CONNECTED for 7s") for line in lines)
    assert all(len(line) <= 80 for line in lines if "lan2" not in line)


def test_one_device_with_what_can_be_read_and_written(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, "devices", "bay01")[0] == 0
    out = capsys.readouterr().out
    assert "charger at tx1, KEBA KeContact P40" in out
    assert "last trouble of its unit: no answer within 1 s" in out
    assert "  state, setpoint_a" in out


def test_a_device_that_is_none(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, "devices", "bay99")[0] == 2
    assert "known are: lan1, lan2, bay01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("by", "departure"),
    [
        # 2027-01-15 08:00 UTC is 09:00 in Berlin.
        ("05:30", "2027-01-16T04:30:00+00:00"),
        ("09:30", "2027-01-15T08:30:00+00:00"),
        ("9:00", "2027-01-16T08:00:00+00:00"),
        ("6h", "2027-01-15T14:00:00+00:00"),
        ("2027-01-16T05:00:00+01:00", "2027-01-16T04:00:00+00:00"),
    ],
)
def test_a_target_is_sent_with_its_departure(tmp_path: Path, by: str, departure: str) -> None:
    words = ["target", "bay01", "80.5kWh", "--by", by, "--vehicle", "bus 7", "--reason", "line 12"]
    code, desk = run(tmp_path, *words)
    assert code == 0
    (taken,) = desk.taken
    assert taken == (
        "target",
        {
            "evse": "bay01",
            "energy_wh": 80_500.0,
            "departure": departure,
            "vehicle": "bus 7",
            "reason": "line 12",
        },
        f"uid-{os.getuid()}",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["80", "--by", "6h"],
        ["-3kWh", "--by", "6h"],
        ["80kWh", "--by", "25:00"],
        ["80kWh", "--by", "2027-01-16T05:00:00"],
    ],
)
def test_a_target_of_nonsense(tmp_path: Path, capsys: Captured, words: list[str]) -> None:
    code, desk = run(tmp_path, "target", "bay01", *words, "--reason", "r")
    assert code == 2
    assert desk.taken == []
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_isolation_is_confirmed_first(tmp_path: Path, capsys: Captured) -> None:
    facts = FixedFacts(record(evses={BAYS[0]: evse_decision(silent=True)}))
    code, desk = run(tmp_path, "isolate", "bay01", "--reason", "Q7", facts=facts)
    assert (code, desk.taken) == (4, [])
    assert "add --yes" in capsys.readouterr().err
    code, desk = run(tmp_path, "isolate", "bay01", "--reason", "Q7", "--yes", facts=facts)
    assert code == 0
    assert desk.taken[0][:2] == ("isolate", {"evse": "bay01", "reason": "Q7"})


def test_an_evse_that_answers_is_not_isolated(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, "isolate", "bay01", "--reason", "Q7", "--yes")[0] == 4
    assert "answers, so it is not locked off" in capsys.readouterr().err


def test_a_negative_duration_is_said_to_be_one(tmp_path: Path, capsys: Captured) -> None:
    code, _ = run(tmp_path, "limit", "tx1", "10A", "--for", "-1h", "--reason", "r")
    assert code == 2
    what, remedy = capsys.readouterr().err.splitlines()
    assert what == "'-1h' is not a duration"
    assert "without a sign" in remedy


def test_a_departure_that_is_no_time_gets_the_forms_of_a_time(
    tmp_path: Path, capsys: Captured
) -> None:
    code, _ = run(tmp_path, "target", "bay01", "10kWh", "--by", "25:00", "--reason", "r")
    assert code == 2
    what, remedy = capsys.readouterr().err.splitlines()
    assert what == "'25:00' is not a time to come"
    assert "05:30" in remedy


def test_read_through_the_daemon(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(guarded="the setpoint")
    assert run(tmp_path, "read", "bay01", "holding:1230", bench=bench)[0] == 0
    out = capsys.readouterr().out
    assert out.startswith("bay01 holding:1230 = 5\n  holding 1230 of unit 255 [0005]\n")
    assert "a write must be forced" in out
    assert run(tmp_path, "read", "bay01", "nothing", bench=bench)[0] == 1


def test_write_shows_old_and_new(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench()
    words = ["write", "bay01", "holding:1230", "7", "--reason", "fan test"]
    assert run(tmp_path, *words, bench=bench)[0] == 4, "nobody is there to say yes"
    assert bench.written == []
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["bay01 holding:1230", "  now  5", "  new  7"]
    assert "add --yes" in shown.err
    assert run(tmp_path, *words, "--yes", bench=bench)[0] == 0
    assert capsys.readouterr().out == "bay01 holding:1230 is 7 now, was 5\n"
    ((at, body),) = bench.written
    assert list(at) == ["bay01", "holding:1230"]
    assert body == {"value": 7.0, "reason": "fan test", "force": False}


def test_a_write_that_is_not_kept_is_a_no(tmp_path: Path, capsys: Captured) -> None:
    words = ["write", "bay01", "holding:1230", "7", "--reason", "r", "--yes"]
    assert run(tmp_path, *words, bench=Bench(stuck=True))[0] == 1
    assert "NOT KEPT: 7 was written, it says 5" in capsys.readouterr().out


def test_what_edgectl_keeps_is_not_written_without_force(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(guarded="the setpoint")
    words = ["write", "bay01", "holding:1230", "7", "--reason", "r", "--yes"]
    assert run(tmp_path, *words, bench=bench)[0] == 4
    assert "edgectl limit" in capsys.readouterr().err
    assert run(tmp_path, *words, "--force", bench=bench)[0] == 0


def test_a_daemon_that_runs_leaves_no_room_for_another_site_file(
    tmp_path: Path, capsys: Captured
) -> None:
    assert run(tmp_path, "read", "bay01", "state", "--config", "x.yaml")[0] == 4
    assert "a daemon runs and has the lines" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["seven", "", "0xzz"])
def test_a_value_that_is_no_number(tmp_path: Path, capsys: Captured, value: str) -> None:
    words = ["write", "bay01", "holding:1230", value, "--reason", "r", "--yes"]
    assert run(tmp_path, *words)[0] == 2
    assert "is not a number" in capsys.readouterr().err
