"""Routes, rights and refusals of the local API."""

import asyncio
import json
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse, CommandResult
from edgectl.contract.local import MqttStatus
from edgectl.contract.refusal import RefusalCode
from edgectl.daemon.api import LocalApi, Rights
from edgectl.errors import BadInput, Finding, Refused, StorageFailed
from edgectl.model.local_api import HttpRequest, HttpResponse, Peer
from tests.api.world import (
    ALARM,
    CRITICAL,
    NOW,
    FakeDesk,
    FixedClock,
    FixedFacts,
    Journal,
    record,
)

DAEMON_UID = 990
READER_GID, WRITER_GID = 2001, 2002
ROOT = Peer(pid=1, uid=0, gids=frozenset({0}))
DAEMON = Peer(pid=2, uid=DAEMON_UID, gids=frozenset({DAEMON_UID}))
READER = Peer(pid=3, uid=1001, gids=frozenset({1001, READER_GID}))
WRITER = Peer(pid=4, uid=1002, gids=frozenset({1002, WRITER_GID}))
STRANGER = Peer(pid=5, uid=1003, gids=frozenset({1003}))

LIMIT_BODY = {"target": "tx1", "limit_w": 120_000.0, "duration_s": 60.0, "reason": "warm fuse"}


def _api(
    *,
    facts: FixedFacts | None = None,
    desk: FakeDesk | None = None,
    clock: FixedClock | None = None,
    journal: Journal | None = None,
) -> LocalApi:
    groups = {"edgectl": READER_GID, "edgectl-admin": WRITER_GID}
    return LocalApi(
        facts=facts or FixedFacts(),
        desk=desk or FakeDesk(),
        clock=clock or FixedClock(),
        rights=Rights(daemon_uid=DAEMON_UID, group_id=groups.get),
        version="1.2.3",
        mqtt=lambda: MqttStatus(connected=False, backlog=7),
        dr=list,
        log=(journal or Journal()).log(),
    )


def _ask(
    api: LocalApi, method: str, path: str, *, peer: Peer = ROOT, body: object = None
) -> HttpResponse:
    raw = b"" if body is None else json.dumps(body).encode()
    return asyncio.run(api.handle(HttpRequest(method=method, path=path, peer=peer, body=raw)))


def _error(response: HttpResponse) -> dict[str, str]:
    answer: Any = response.json
    error = answer["error"]
    assert set(error) == {"code", "message", "remedy"}
    assert error["remedy"]
    return dict(error)


def test_status_why_and_health_answer() -> None:
    api = _api()
    for path, expected in (
        ("/v1/status", "depot-north"),
        ("/v1/why/bay01", "node_ceiling"),
        ("/v1/health", "true"),
    ):
        response = _ask(api, "GET", path)
        assert response.status == 200
        assert expected in json.dumps(response.json)


@pytest.mark.parametrize(
    ("peer", "may_read", "may_write"),
    [
        (ROOT, True, True),
        (DAEMON, True, True),
        (READER, True, False),
        (WRITER, True, True),
        (STRANGER, False, False),
    ],
    ids=["root", "daemon", "reader", "writer", "stranger"],
)
@pytest.mark.parametrize("verb", ["limit", "pause", "resume", "release"])
def test_rights(peer: Peer, *, may_read: bool, may_write: bool, verb: str) -> None:
    desk = FakeDesk()
    api = _api(desk=desk)
    for path in ("/v1/status", "/v1/health", "/v1/why/bay01"):
        assert (_ask(api, "GET", path, peer=peer).status == 200) is may_read
    body = {"evse": "bay01", "target_command_id": "c", "reason": "test"}
    response = _ask(api, "POST", f"/v1/{verb}", peer=peer, body=body)
    assert (response.status == 200) is may_write
    assert bool(desk.taken) is may_write
    if not may_write:
        assert response.status == 403
        error = _error(response)
        assert error["code"] == "not_permitted"
        assert "edgectl-admin" in error["remedy"]


def test_groups_that_do_not_exist_give_no_rights() -> None:
    api = LocalApi(
        facts=FixedFacts(),
        desk=FakeDesk(),
        clock=FixedClock(),
        rights=Rights(daemon_uid=DAEMON_UID, group_id=lambda _: None),
        version="1",
        mqtt=lambda: None,
        dr=list,
        log=Journal().log(),
    )
    assert _ask(api, "GET", "/v1/status", peer=READER).status == 403
    assert _ask(api, "GET", "/v1/status", peer=ROOT).status == 200


def test_a_write_goes_to_the_desk_with_who_asked() -> None:
    desk = FakeDesk()
    response = _ask(_api(desk=desk), "POST", "/v1/limit", peer=WRITER, body=LIMIT_BODY)
    assert response.status == 200
    (verb, body, who) = desk.taken[0]
    assert (verb, who) == ("limit", "uid-1002")
    assert body == {
        "node": "tx1",
        "limit_w": 120_000.0,
        "duration_s": 60.0,
        "reason": "warm fuse",
    }


def test_every_write_is_audited_with_uid_reason_and_outcome() -> None:
    journal = Journal()
    refusal = Refused(code="would_widen", message="m", remedy="r")
    _ask(_api(journal=journal), "POST", "/v1/limit", peer=WRITER, body=LIMIT_BODY)
    refusing = _api(journal=journal, desk=FakeDesk(refusal=refusal))
    _ask(refusing, "POST", "/v1/limit", peer=WRITER, body=LIMIT_BODY)
    _ask(_api(journal=journal), "POST", "/v1/limit", peer=STRANGER, body=LIMIT_BODY)
    taken, refused, forbidden = journal.lines
    assert (taken["event"], taken["uid"], taken["reason"]) == ("local_write", 1002, "warm fuse")
    assert taken["audit"] is True
    assert (refused["event"], refused["code"]) == ("local_write_refused", "would_widen")
    assert (forbidden["uid"], forbidden["code"]) == (1003, "not_permitted")


def test_reading_is_not_audited() -> None:
    journal = Journal()
    _ask(_api(journal=journal), "GET", "/v1/status")
    assert journal.lines == []


def test_a_target_of_any_kind_is_named_as_what_it_is() -> None:
    desk = FakeDesk()
    for target in ("tx1", "bay01", "bays-east"):
        body = LIMIT_BODY | {"target": target}
        assert _ask(_api(desk=desk), "POST", "/v1/limit", body=body).status == 200
    named = [(taken[1].get("node"), taken[1].get("evse")) for taken in desk.taken]
    assert named == [("tx1", None), (None, "bay01"), (None, "bays-east")]


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"target": "bay99", "reason": "x"}, "unknown_target", 404),
        ({"target": ["bay01"], "reason": "x"}, "unknown_target", 404),
        ({"target": "bay01", "evse": "bay01", "reason": "x"}, "malformed", 400),
        ({"target": "bay01"}, "malformed", 400),
        ({"target": "bay01", "reason": "  "}, "malformed", 400),
        ({"target": "bay01", "reason": 7}, "malformed", 400),
        (["bay01"], "malformed", 400),
        ("bay01", "malformed", 400),
    ],
)
def test_bad_bodies_are_answered_and_never_reach_the_desk(
    body: object, code: str, status: int
) -> None:
    desk = FakeDesk()
    response = _ask(_api(desk=desk), "POST", "/v1/pause", body=body)
    assert (response.status, _error(response)["code"]) == (status, code)
    assert desk.taken == []


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 999]
)
def test_bodies_that_are_no_json_are_answered(raw: bytes) -> None:
    request = HttpRequest(method="POST", path="/v1/pause", peer=ROOT, body=raw)
    response = asyncio.run(_api().handle(request))
    assert response.status in {400, 413}
    assert _error(response)["code"] in {"malformed", "too_large"}


def test_a_refusal_of_the_desk_is_handed_on() -> None:
    refusal = Refused(code="would_widen", message="it would widen", remedy="ask the utility")
    response = _ask(_api(desk=FakeDesk(refusal=refusal)), "POST", "/v1/limit", body=LIMIT_BODY)
    assert response.status == 409
    assert _error(response) == {
        "code": "would_widen",
        "message": "it would widen",
        "remedy": "ask the utility",
    }


def test_a_rejecting_answer_of_the_desk_is_an_error() -> None:
    answer = CommandResponse(
        command_id="c",
        result=CommandResult.REJECTED,
        code=RefusalCode.UNKNOWN_TARGET,
        message="there is no command c",
        remedy="see status",
    )
    response = _ask(_api(desk=FakeDesk(answer=answer)), "POST", "/v1/limit", body=LIMIT_BODY)
    assert response.status == 404
    assert _error(response)["message"] == "there is no command c"


def test_a_full_disk_is_said_and_nothing_is_in_force() -> None:
    desk = FakeDesk(fault=StorageFailed("disk full"))
    response = _ask(_api(desk=desk), "POST", "/v1/limit", body=LIMIT_BODY)
    assert response.status == 503
    assert _error(response)["code"] == "not_stored"


def test_bad_input_names_its_field() -> None:
    finding = Finding("body", 0, "limit_w", "bad", "is negative", "give a positive one")
    desk = FakeDesk(fault=BadInput([finding]))
    error = _error(_ask(_api(desk=desk), "POST", "/v1/limit", body=LIMIT_BODY))
    assert error["message"] == "limit_w: is negative"


def test_a_fault_of_ours_is_answered_without_details_and_logged() -> None:
    desk, journal = FakeDesk(fault=RuntimeError("secret path /x")), Journal()
    response = _ask(_api(desk=desk, journal=journal), "POST", "/v1/limit", body=LIMIT_BODY)
    assert journal.lines[0]["event"] == "local_api_failed"
    assert response.status == 500
    assert "secret" not in json.dumps(response.json)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/status", 405),
        ("GET", "/v1/limit", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/v1/why", 404),
        ("GET", "/v1/why/bay01/more", 404),
        ("GET", "/v1/why/bay99", 404),
        ("GET", "/v1/../etc/passwd", 404),
        ("DELETE", "/v1/why/bay01", 405),
    ],
)
def test_wrong_paths_and_methods(method: str, path: str, status: int) -> None:
    response = _ask(_api(), method, path)
    assert response.status == status
    _error(response)


def test_before_the_first_tick_it_says_so() -> None:
    api = _api(facts=FixedFacts(latest=None))
    response = _ask(api, "GET", "/v1/status")
    assert (response.status, _error(response)["code"]) == (503, "not_ready")
    health: Any = _ask(api, "GET", "/v1/health")
    assert (health.status, health.json["ok"]) == (503, False)


@pytest.mark.parametrize(
    ("facts", "later_s", "problem"),
    [
        (FixedFacts(record(safe=True)), 0.0, "safe decision"),
        (FixedFacts(record(alarms=(CRITICAL,))), 0.0, "over its ceiling"),
        (FixedFacts(record()), 5.0, "5.0 s old"),
        (FixedFacts(record(alarms=(ALARM,))), 1.0, None),
    ],
    ids=["safe", "critical", "old", "well"],
)
def test_health(facts: FixedFacts, later_s: float, problem: str | None) -> None:
    clock = FixedClock(Instant(NOW.mono_s + later_s, NOW.utc_s + later_s))
    response: Any = _ask(_api(facts=facts, clock=clock), "GET", "/v1/health")
    assert response.status == (200 if problem is None else 503)
    assert response.json["ok"] is (problem is None)
    assert (problem or "") in " ".join(response.json["problems"])
