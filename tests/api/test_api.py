"""Routes, rights and refusals of the local API."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse, CommandResult
from edgectl.contract.local import MqttStatus
from edgectl.contract.refusal import RefusalCode
from edgectl.daemon.api import Act, LocalApi, Look, Rights
from edgectl.errors import BadInput, Finding, Refused, StorageFailed
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Alarm, Reason, ReasonCode
from edgectl.model.local_api import HttpRequest, HttpResponse, Peer
from tests.api.world import (
    ALARM,
    BAYS,
    CAP_CEILING,
    CRITICAL,
    NOW,
    FakeDesk,
    FixedClock,
    FixedFacts,
    Journal,
    evse_decision,
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
    acts: Mapping[str, Act] | None = None,
    looks: Mapping[str, Look] | None = None,
    alarms: tuple[Alarm, ...] = (),
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
        alarms=lambda: alarms,
        acts=acts,
        looks=looks,
        log=(journal or Journal()).log(),
    )


async def _look(words: Sequence[str], query: Mapping[str, str]) -> object:
    return {"words": list(words), "query": dict(query)}


def _ask(
    api: LocalApi, method: str, path: str, *, peer: Peer = ROOT, body: object = None
) -> HttpResponse:
    raw = b"" if body is None else json.dumps(body).encode()
    target = urlsplit(path)
    query = dict(parse_qsl(target.query))
    request = HttpRequest(method=method, path=target.path, peer=peer, query=query, body=raw)
    return asyncio.run(api.handle(request))


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
@pytest.mark.parametrize(
    "verb", ["limit", "pause", "resume", "release", "target", "isolate", "write"]
)
def test_rights(peer: Peer, *, may_read: bool, may_write: bool, verb: str) -> None:
    desk = FakeDesk()
    acted: list[object] = []

    async def act(words: Sequence[str], body: object) -> object:
        acted.append((words, body))
        return {"done": True}

    facts = FixedFacts(record(evses={BAYS[0]: evse_decision(silent=True)}))
    api = _api(desk=desk, acts={"write": act}, looks={"events": _look}, facts=facts)
    for path in ("/v1/status", "/v1/health", "/v1/why/bay01", "/v1/events/a/b?after=3"):
        assert (_ask(api, "GET", path, peer=peer).status == 200) is may_read
    body = {"evse": "bay01", "target_command_id": "c", "reason": "test"}
    response = _ask(api, "POST", f"/v1/{verb}", peer=peer, body=body)
    assert (response.status == 200) is may_write
    assert bool(desk.taken or acted) is may_write
    assert facts.asked_soon == (1 if may_write and verb != "write" else 0)
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
    unfinished, failed = journal.lines
    assert (unfinished["event"], unfinished["uid"]) == ("local_write_unfinished", 0)
    assert failed["event"] == "local_api_failed"
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


def test_a_charger_that_answers_is_not_isolated() -> None:
    desk = FakeDesk()
    body = {"target": "bays-east", "reason": "locked"}
    response = _ask(_api(desk=desk), "POST", "/v1/isolate", body=body)
    assert response.status == 409
    error = _error(response)
    assert error["code"] == "still_answers"
    assert "edgectl pause bay01" in error["remedy"]
    assert desk.taken == []


@pytest.mark.parametrize("verb", ["pause", "resume", "isolate", "target"])
def test_a_node_is_not_paused_and_the_remedy_says_what_stops_it(verb: str) -> None:
    response = _ask(_api(), "POST", f"/v1/{verb}", body={"target": "tx1", "reason": "r"})
    assert response.status == 404
    error = _error(response)
    assert error["message"].startswith(f"tx1 is a node; {verb} is for an EVSE")
    assert "edgectl limit tx1 0A" in error["remedy"]


def test_why_without_a_name_says_what_to_name() -> None:
    response = _ask(_api(), "GET", "/v1/why/")
    assert response.status == 404
    assert _error(response)["message"] == "no EVSE is named"


def test_a_look_gets_its_words_and_its_query() -> None:
    api = _api(looks={"events": _look})
    response = _ask(api, "GET", "/v1/events/bay01/x?after=12")
    assert response.json == {"words": ["bay01", "x"], "query": {"after": "12"}}
    assert _ask(api, "POST", "/v1/events", body={"reason": "r"}).status == 405


def test_an_act_is_audited_with_user_and_reason_and_needs_one() -> None:
    journal = Journal()

    async def act(words: Sequence[str], body: object) -> object:
        return {"at": list(words), "body": body}

    api = _api(acts={"write": act}, journal=journal)
    assert _ask(api, "POST", "/v1/write/bay01/x", body={"value": 1}).status == 400
    body = {"value": 1, "reason": "test of the fan"}
    assert _ask(api, "POST", "/v1/write/bay01/x", body=body, peer=WRITER).status == 200
    refused, granted = journal.lines
    assert refused["code"] == "malformed"
    assert (granted["uid"], granted["reason"], granted["at"]) == (
        1002,
        "test of the fan",
        ["bay01", "x"],
    )


def test_the_links_troubles_are_among_the_alarms() -> None:
    response = _ask(_api(alarms=(ALARM,)), "GET", "/v1/status")
    status: Any = response.json
    assert [alarm["code"] for alarm in status["alarms"]] == ["charger_silent"]


def test_why_of_a_silent_evse_says_also_what_pauses_it() -> None:
    pause = TimedCeiling(
        holder=Holder(Rank.TECHNICIAN, "pause", "local-1"),
        reason="cable is checked",
        from_utc_s=NOW.utc_s - 60.0,
        until_utc_s=None,
        evse=BAYS[0],
        limit_a=(0.0, 0.0, 0.0),
    )
    silent = evse_decision(silent=True, reason=Reason(ReasonCode.SILENT))
    facts = FixedFacts(record(evses={BAYS[0]: silent}, ceilings=(CAP_CEILING, pause)))
    answer: Any = _ask(_api(facts=facts), "GET", "/v1/why/bay01").json
    assert answer["also"] == [
        "it is also paused, set by pause local-1 of the technician: cable is checked"
    ]
    other: Any = _ask(_api(facts=facts), "GET", "/v1/why/bay02").json
    assert other["also"] == []


def test_an_act_that_is_cut_off_is_audited_all_the_same() -> None:
    journal = Journal()

    async def act(words: Sequence[str], body: object) -> object:
        assert words
        assert body
        await asyncio.sleep(60.0)
        return {}

    api = _api(acts={"write": act}, journal=journal)
    request = HttpRequest(
        method="POST", path="/v1/write/bay01/x", peer=WRITER, body=b'{"value": 1, "reason": "r"}'
    )

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await api.handle(request)

    asyncio.run(main())
    (cut,) = journal.lines
    assert (cut["event"], cut["uid"], cut["reason"]) == ("local_write_unfinished", 1002, "r")
