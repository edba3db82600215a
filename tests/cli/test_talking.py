"""The verbs that talk to the daemon, over a real socket."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli.main import main
from edgectl.contract.explain import Why
from edgectl.contract.local import MqttStatus, Status
from edgectl.daemon.api import error_response
from edgectl.errors import Refused
from edgectl.model.decision import Reason, ReasonCode, Urgency
from edgectl.model.local_api import HttpRequest, HttpResponse
from edgectl.model.site import Mode
from edgectl.units import NodeId
from tests.api.world import ALARM, BAYS, NOW, FakeDesk, FixedFacts, evse_decision, record
from tests.cli.depot import answering, api, tool

Captured = pytest.CaptureFixture[str]


def test_status_fits_80_columns_but_for_sentences_and_24_lines(
    tmp_path: Path, capsys: Captured
) -> None:
    assert tool(tmp_path, "status") == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert shown.err == ""
    assert len(lines) <= 24
    assert shown.out.isascii()
    assert "\x1b" not in shown.out
    assert lines[0].startswith("depot-north   control   up since 2027-01-15 07:45:00Z")
    assert "broker connected, 0 waiting" in lines[1]
    tx1 = next(line for line in lines if line.startswith("tx1"))
    assert tx1.split()[:6] == ["tx1", "100", "80.0", "20", "78", "78"]
    bay = next(line for line in lines if line.startswith("bay01"))
    assert bay.split()[:6] == ["bay01", "charging", "13.0", "12.9", "4.2", "0s"]
    assert bay.endswith("L1 of tx1 is at its ceiling of 100.0 A, set by the operator's cap cap-0")
    assert all(len(line) <= 80 for line in lines if not line.startswith("bay"))
    limit = next(line for line in lines if line.startswith("cap-0"))
    assert limit.split() == [
        "cap-0",
        "tx1",
        "100",
        "A",
        "now",
        "01-15",
        "08:30Z",
        "evening",
        "peak",
    ]


def test_status_names_what_the_broker_refuses(tmp_path: Path, capsys: Captured) -> None:
    mqtt = MqttStatus(connected=True, backlog=12, refused=["edgectl/v1/bay/depot-north/event"])
    assert tool(tmp_path, "status", handler=api(mqtt=mqtt).handle) == 0
    assert "THE BROKER REFUSES edgectl/v1/bay/depot-north/event" in capsys.readouterr().out


def test_status_says_how_many_rows_are_set_aside(tmp_path: Path, capsys: Captured) -> None:
    mqtt = MqttStatus(connected=True, backlog=12, aside=4)
    assert tool(tmp_path, "status", handler=api(mqtt=mqtt).handle) == 0
    assert "broker connected, 12 waiting, 4 set aside" in capsys.readouterr().out


def test_status_shows_alarms_and_a_safe_decision(tmp_path: Path, capsys: Captured) -> None:
    facts = FixedFacts(record(alarms=(ALARM,), safe=True))
    assert tool(tmp_path, "status", handler=api(facts=facts).handle) == 0
    out = capsys.readouterr().out
    assert "THE SAFE DECISION IS IN FORCE" in out
    assert "WARNING charger_silent bay03: bay03 does not answer" in out


def test_status_json_is_the_contract(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "status", "--json") == 0
    answer = Status.model_validate(json.loads(capsys.readouterr().out))
    assert answer.evses["bay01"].setpoint_a == 13.0


def test_why_says_so_where_nothing_is_written(tmp_path: Path, capsys: Captured) -> None:
    made = record()
    place = replace(made.snapshot.site, mode=Mode.OBSERVE)
    facts = FixedFacts(replace(made, snapshot=replace(made.snapshot, site=place)))
    assert tool(tmp_path, "why", "bay01", handler=api(facts=facts).handle) == 0
    assert capsys.readouterr().out.splitlines()[0] == "bay01 would be told 13.0 A per phase:"


def test_why_shows_the_chain(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "why", "bay01") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bay01 may draw 13.0 A per phase:"
    assert lines[1].strip().startswith("L1 of tx1 is at its ceiling of 100.0 A")
    chain = [line.split() for line in lines if line.startswith(("tx1", "grid"))]
    assert chain[0][:8] == ["tx1", "L1", "A", "100.0", "2.0", "20.0", "65.0", "13.0"]
    assert chain[1][:3] == ["tx1", "kVA", "80.0"]
    assert chain[2][:4] == ["grid", "L1", "A", "400.0"]
    assert lines[-1] == "More: the operator's cap cap-0 ends, at 2027-01-15 08:30:00Z."


def test_why_of_a_silent_charger_says_what_it_is_called_with(
    tmp_path: Path, capsys: Captured
) -> None:
    silent = evse_decision(silent=True, setpoint_a=6.0, reason=Reason(ReasonCode.SILENT))
    facts = FixedFacts(record(evses={BAYS[0]: silent}))
    assert tool(tmp_path, "why", "bay01", handler=api(facts=facts).handle) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "bay01 is called with 6.0 A per phase:"
    assert second.endswith("it is counted as a fixed load of 13.0 A.")


def test_why_says_what_is_meant_and_where_it_waits(tmp_path: Path, capsys: Captured) -> None:
    waits = evse_decision(
        allocation_a=10.0,
        setpoint_a=6.0,
        reason=Reason(ReasonCode.WAITS_FOR_ROOM, node=NodeId("tx1"), row="1"),
    )
    urgency = Urgency(need_wh=12_000.0, departure_utc_s=NOW.utc_s + 7200.0, laxity_s=5400.0)
    waits = replace(waits, place=1, urgency=urgency)
    facts = FixedFacts(record(evses={BAYS[0]: waits}))
    assert tool(tmp_path, "why", "bay01", handler=api(facts=facts).handle) == 0
    out = capsys.readouterr().out
    assert out.startswith("bay01 may draw 6.0 A per phase (meant for it: 10.0 A):")
    assert "It waits as number 1 of its tier." in out
    assert "Its vehicle needs 12.0 kWh more by " in out
    assert "it could wait 1.5 h and still be ready." in out


@pytest.mark.parametrize(
    ("need_wh", "laxity_s", "said"),
    [(0.0, 60.0, "has what it was promised"), (500.0, -60.0, "cannot make that any more")],
)
def test_why_says_how_a_target_stands(
    tmp_path: Path, capsys: Captured, need_wh: float, laxity_s: float, said: str
) -> None:
    urgency = Urgency(need_wh=need_wh, departure_utc_s=NOW.utc_s + 60.0, laxity_s=laxity_s)
    decision = replace(evse_decision(reason=Reason(ReasonCode.OWN_MAXIMUM)), urgency=urgency)
    facts = FixedFacts(record(evses={BAYS[0]: decision}))
    assert tool(tmp_path, "why", "bay01", handler=api(facts=facts).handle) == 0
    assert said in capsys.readouterr().out


def test_why_json_is_the_contract(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "why", "bay02", "--json") == 0
    assert Why.model_validate(json.loads(capsys.readouterr().out)).evse == "bay02"


def test_an_unknown_evse_is_bad_input(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "why", "bay 99?x") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    what, remedy = shown.err.splitlines()
    assert what == "there is no EVSE 'bay 99?x'"
    assert remedy.startswith("known are: bay01")


@pytest.mark.parametrize(
    ("words", "verb", "body"),
    [
        (
            ["limit", "tx1", "120kW", "--for", "2h", "--reason", "works"],
            "limit",
            {"node": "tx1", "limit_w": 120_000.0, "duration_s": 7200.0, "reason": "works"},
        ),
        (
            ["limit", "bay01", "63/40/63A", "--reason", "warm"],
            "limit",
            {
                "evse": "bay01",
                "limit_a": [63.0, 40.0, 63.0],
                "duration_s": 3600.0,
                "reason": "warm",
            },
        ),
        (["pause", "bay01", "--reason", "r"], "pause", {"evse": "bay01", "reason": "r"}),
        (
            ["pause", "bays-east", "--for", "20m", "--reason", "r"],
            "pause",
            {"evse": "bays-east", "duration_s": 1200.0, "reason": "r"},
        ),
        (["resume", "bay01", "--reason", "r"], "resume", {"evse": "bay01", "reason": "r"}),
        (
            ["release", "c-17", "--reason", "r"],
            "release",
            {"target_command_id": "c-17", "reason": "r"},
        ),
    ],
)
def test_overrides_reach_the_desk(
    tmp_path: Path, capsys: Captured, words: list[str], verb: str, body: dict[str, Any]
) -> None:
    desk = FakeDesk()
    assert tool(tmp_path, *words, handler=api(desk=desk).handle) == 0
    assert desk.taken == [(verb, body, f"uid-{os.getuid()}")]
    expected = f"{verb} accepted until 2027-01-15 10:00:00Z (id local-1): {verb} is in force\n"
    assert capsys.readouterr().out == expected


def test_an_override_in_json(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "pause", "bay01", "--reason", "r", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["result"], answer["command_id"]) == ("accepted", "local-1")


def test_a_refused_override_has_its_exit_code_and_its_error_object(
    tmp_path: Path, capsys: Captured
) -> None:
    refusal = Refused(code="not_permitted", message="set by the utility", remedy="ask them")
    handler = api(desk=FakeDesk(refusal=refusal)).handle
    assert tool(tmp_path, "resume", "bay01", "--reason", "r", "--json", handler=handler) == 4
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "error": {"code": "not_permitted", "message": "set by the utility", "remedy": "ask them"}
    }
    assert shown.err == "set by the utility\nask them\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (404, 2), (413, 2), (403, 4), (409, 4), (501, 4), (408, 3), (500, 3), (503, 3)],
)
def test_exit_codes_of_errors(tmp_path: Path, capsys: Captured, status: int, code: int) -> None:
    error = error_response("some_code", "what is wrong", "what to do").json
    assert tool(tmp_path, "status", handler=answering(status, error)) == code
    assert capsys.readouterr().err == "what is wrong\nwhat to do\n"


def test_a_full_disk_is_a_refusal_of_a_daemon_that_was_reached(tmp_path: Path) -> None:
    error = error_response("not_stored", "the disk is full", "free space").json
    assert tool(tmp_path, "status", handler=answering(503, error)) == 4


@pytest.mark.parametrize("value", [[], "hello", None, 3])
def test_somebody_else_on_the_socket_is_no_daemon(
    tmp_path: Path, capsys: Captured, value: object
) -> None:
    assert tool(tmp_path, "status", handler=answering(200, value)) == 3
    assert "is not an edgectl daemon" in capsys.readouterr().err


def test_an_answer_from_another_version_is_no_traceback(tmp_path: Path, capsys: Captured) -> None:
    assert tool(tmp_path, "status", handler=answering(200, {"hello": 1})) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 2


def test_no_daemon(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "none.sock"
    assert main(["status", "--socket", str(path), "--json"]) == 3
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["code"] == "unreachable"
    assert shown.err.splitlines()[0] == f"no daemon has its socket at {path}"


def test_a_dead_daemon(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "dead.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert main(["why", "bay01", "--socket", str(path)]) == 3
    assert "the daemon is not running" in capsys.readouterr().err


def test_a_path_that_is_too_long_is_said(tmp_path: Path, capsys: Captured) -> None:
    assert main(["status", "--socket", str(tmp_path / ("x" * 200))]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_stranger_is_refused(tmp_path: Path, capsys: Captured) -> None:
    async def refuse(request: HttpRequest) -> HttpResponse:
        stranger = api(daemon_uid=4711)
        peer = request.peer.__class__(pid=1, uid=1234, gids=frozenset())
        return await stranger.handle(HttpRequest(method="GET", path=request.path, peer=peer))

    assert tool(tmp_path, "status", handler=refuse) == 4
    assert "usermod -aG edgectl" in capsys.readouterr().err
