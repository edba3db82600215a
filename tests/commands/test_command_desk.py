"""The desk of commands: answers, refusals, ranks, ends, restarts, doubtful clocks."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode
from edgectl.daemon.desk.commands import COMMANDS_MAX, RESERVE, CommandDesk
from edgectl.errors import StorageFailed
from edgectl.model.ceiling import Rank
from edgectl.model.settings import Unsigned
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from tests.grid.samples import SITE, at


@dataclass
class Desk:
    """A desk with everything around it in memory; time is seconds after 12:00."""

    unsigned: Unsigned = Unsigned.LOOPBACK
    mqtt_rank: Rank = Rank.UTILITY_VOLUNTARY
    store: MemoryStore = field(default_factory=MemoryStore)
    said: list[CommandResponse] = field(default_factory=list)
    audited: list[dict[str, object]] = field(default_factory=list)
    outbox_full: bool = False
    mono_s: float = 1000.0
    utc_s: float = at("12:00")
    trusted: bool = True
    desk: CommandDesk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = CommandDesk(
            site=SITE,
            store=self.store,
            unsigned=self.unsigned,
            reply=self.reply,
            audit=self.audited.append,
            mqtt_rank=self.mqtt_rank,
        )

    async def reply(self, name: str, body: CommandResponse) -> None:
        assert name == "command/response"
        if self.outbox_full:
            raise StorageFailed("the outbox is full")
        self.said.append(body)

    def now(self) -> Instant:
        return Instant(mono_s=self.mono_s, utc_s=self.utc_s, utc_trusted=self.trusted)

    async def later(self, seconds: float) -> None:
        self.mono_s += seconds
        self.utc_s += seconds
        await self.desk.tick(self.now())

    async def set_clock(self, by_s: float, *, trusted: bool) -> None:
        self.utc_s += by_s
        self.trusted = trusted
        await self.desk.tick(self.now())

    async def restart(self) -> "Desk":
        made = Desk(
            unsigned=self.unsigned,
            store=self.store,
            mono_s=5.0,
            utc_s=self.utc_s,
            trusted=self.trusted,
        )
        await made.desk.load(made.now())
        return made

    def body(self, verb: str, **changes: Any) -> dict[str, Any]:
        """A good command; a change to None leaves the field out."""
        made = {
            "command_id": f"c-{verb}",
            "issuer": "utility-x",
            "made_at": rfc3339(self.utc_s),
            "expires_at": rfc3339(self.utc_s + 300),
            "reason": "test",
            **FIELDS[verb],
            **changes,
        }
        return {key: value for key, value in made.items() if value is not None}

    async def send(self, verb: str, **changes: Any) -> CommandResponse:
        return await self.raw(verb, json.dumps(self.body(verb, **changes)).encode())

    async def raw(
        self,
        verb: str,
        payload: bytes,
        *,
        retained: bool = False,
        connection: Connection = Connection.LOOPBACK,
    ) -> CommandResponse:
        answer = await self.desk.handle(
            f"command/{verb}", payload, retained=retained, connection=connection, now=self.now()
        )
        assert answer is not None
        assert answer.result.value != "rejected" or (answer.code and answer.remedy)
        json.dumps(answer.model_dump(mode="json")).encode()
        return answer

    async def local(self, verb: str, **body: Any) -> CommandResponse:
        return await self.desk.local(
            verb, {"reason": "repair", **body}, who="uid 1000", now=self.now()
        )

    def limits(self) -> list[tuple[str, float | None, tuple[float | None, ...]]]:
        moment = self.utc_s
        return sorted(
            (str(c.node if c.node is not None else c.evse), c.limit_w, c.limit_a)
            for c in self.desk.ceilings()
            if c.from_utc_s <= moment and (c.until_utc_s is None or moment < c.until_utc_s)
        )

    def paused(self) -> set[str]:
        return {str(c.evse) for c in self.desk.ceilings() if c.holder.kind == "pause"}


FIELDS: dict[str, dict[str, Any]] = {
    "limit": {"node": "grid", "limit_w": 50_000, "duration_s": 600},
    "pause": {"evse": "bay01"},
    "resume": {"evse": "bay01"},
    "target": {"evse": "bay01", "energy_wh": 40_000, "departure": "2026-11-25T05:00:00Z"},
    "release": {"target_command_id": "c-limit"},
}
NO_A = (None, None, None)
Scenario = Callable[[Desk], Coroutine[Any, Any, None]]


def run(scenario: Scenario, **changes: Any) -> Desk:
    desk = Desk(**changes)

    async def main() -> None:
        await desk.desk.load(desk.now())
        await scenario(desk)

    asyncio.run(main())
    return desk


def result(answer: CommandResponse) -> str:
    return answer.result.value + (f":{answer.code.value}" if answer.code else "")


def test_S19_a_limit_holds_for_its_duration() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        answer = await d.send("limit")
        assert result(answer) == "accepted"
        assert answer.command_id == "c-limit"
        assert answer.until == "2026-11-24T12:10:00.000Z"
        assert d.said == [answer]
        (ceiling,) = d.desk.ceilings()
        assert (ceiling.node, ceiling.limit_w, ceiling.limit_a) == ("grid", 50_000.0, NO_A)
        assert ceiling.holder.rank is Rank.UTILITY_VOLUNTARY
        assert (ceiling.holder.kind, ceiling.holder.id) == ("command", "c-limit")
        assert ceiling.until_utc_s == at("12:10")
        await d.later(599)
        assert len(d.desk.ceilings()) == 1
        await d.later(1)
        assert d.desk.ceilings() == ()

    run(scenario)


LIMITS: dict[str, tuple[dict[str, Any], list[tuple[str, float | None, tuple[Any, ...]]]]] = {
    "three_phases": (
        {"limit_w": None, "limit_a": [10, 20.5, 30]},
        [("grid", None, (10.0, 20.5, 30.0))],
    ),
    "one_phase_only": (
        {"limit_w": None, "limit_a": [None, 20, None]},
        [("grid", None, (None, 20.0, None))],
    ),
    "one_value_for_all": (
        {"limit_w": None, "limit_a": [16]},
        [("grid", None, (16.0, 16.0, 16.0))],
    ),
    "zero_means_zero": ({"limit_w": 0}, [("grid", 0.0, NO_A)]),
    "an_evse": ({"node": None, "evse": "bay02"}, [("bay02", 50_000.0, NO_A)]),
    "a_group_of_evses": (
        {"node": None, "evse": "bays"},
        [("bay01", 50_000.0, NO_A), ("bay02", 50_000.0, NO_A)],
    ),
    "the_site_is_its_root": ({"node": "depot-north"}, [("grid", 50_000.0, NO_A)]),
    "S17_above_what_is_configured_is_harmless": (
        {"limit_w": None, "limit_a": [4000]},
        [("grid", None, (4000.0, 4000.0, 4000.0))],
    ),
    "unknown_fields_are_left_alone": ({"later": {"x": 1}}, [("grid", 50_000.0, NO_A)]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    changes, expected = LIMITS[name]

    async def scenario(d: Desk) -> None:
        assert result(await d.send("limit", **changes)) == "accepted"
        assert d.limits() == expected
        assert (await d.restart()).limits() == expected

    run(scenario)


def test_a_pause_is_zero_amperes_on_every_phase_until_resumed() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.send("pause")
        assert answer.until is None
        assert "until resumed" in answer.message
        (ceiling,) = d.desk.ceilings()
        assert (ceiling.evse, ceiling.limit_a, ceiling.until_utc_s) == ("bay01", (0.0,) * 3, None)
        assert ceiling.holder.kind == "pause"
        await d.later(86400 * 30)
        assert (await d.restart()).paused() == {"bay01"}
        assert result(await d.send("resume")) == "accepted"
        assert d.paused() == set()
        assert (await d.restart()).paused() == set()

    run(scenario)


def test_a_pause_with_a_duration_ends_by_itself() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.send("pause", duration_s=60)
        assert answer.until == "2026-11-24T12:01:00.000Z"
        await d.later(61)
        assert d.paused() == set()

    run(scenario)


def test_one_evse_of_a_paused_group_is_resumed() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("pause", evse="bays")
        assert d.paused() == {"bay01", "bay02"}
        await d.send("resume", evse="bay02")
        assert d.paused() == {"bay01"}
        assert (await d.restart()).paused() == {"bay01"}
        assert "not paused" in (await d.send("resume", command_id="r2", evse="bay02")).message

    run(scenario)


def test_S17_who_may_end_what() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        mine = await d.local("pause", evse="bay01")
        assert result(await d.send("resume")) == "rejected:not_permitted"
        refused = await d.send("release", target_command_id=mine.command_id)
        assert result(refused) == "rejected:not_permitted"
        assert "local:uid 1000" in refused.message
        await d.send("pause")
        both = await d.send("resume", command_id="r2")
        assert result(both) == "accepted"
        assert "still holds" in both.message
        assert d.paused() == {"bay01"}
        await d.send("pause", command_id="p2")
        await d.local("resume", evse="bay01")
        assert d.paused() == set()
        await d.send("limit")
        assert result(await d.local("release", target_command_id="c-limit")) == "accepted"
        assert d.desk.ceilings() == ()

    run(scenario)


def test_S17_a_mandatory_utility_is_above_the_technician() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        refused = await d.local("release", target_command_id="c-limit")
        assert result(refused) == "rejected:not_permitted"
        assert len(d.desk.ceilings()) == 1

    run(scenario, mqtt_rank=Rank.UTILITY_MANDATORY)


def test_a_release_ends_any_command_and_says_when_there_is_nothing_to_end() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        await d.send("pause")
        assert result(await d.send("release")) == "accepted"
        assert d.limits() == [("bay01", None, (0.0, 0.0, 0.0))]
        again = await d.send("release", command_id="r2")
        assert "not in force any more" in again.message
        await d.send("release", command_id="r3", target_command_id="c-pause")
        assert d.desk.ceilings() == ()
        unknown = await d.send("release", command_id="r4", target_command_id="nobody")
        assert result(unknown) == "rejected:unknown_target"

    run(scenario)


def test_a_target_is_kept_until_the_departure() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("target", vehicle="bus 7", priority=2)
        (target,) = d.desk.targets()
        assert (target.evse, target.energy_wh, target.vehicle) == ("bay01", 40_000.0, "bus 7")
        assert (target.priority, target.departure_utc_s) == (2, at("12:00") + 17 * 3600)
        assert d.desk.ceilings() == ()
        await d.send("target", command_id="t2", energy_wh=10_000)
        assert [t.energy_wh for t in d.desk.targets()] == [10_000.0]
        again = await d.restart()
        assert again.desk.targets() == d.desk.targets()
        await d.local("target", evse="bay01", energy_wh=5.0, departure="2026-11-25T05:00:00Z")
        lower = await d.send("target", command_id="t3")
        assert result(lower) == "rejected:not_permitted"
        await d.later(17 * 3600)
        assert d.desk.targets() == ()

    run(scenario)


REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no_command_id": ("limit", {"command_id": None}, "malformed", "command_id"),
    "empty_command_id": ("limit", {"command_id": ""}, "malformed", "command_id"),
    "no_expiry": ("limit", {"expires_at": None}, "malformed", "expires_at"),
    "no_issuer": ("limit", {"issuer": None}, "malformed", "issuer"),
    "no_reason": ("limit", {"reason": None}, "malformed", "reason"),
    "S19_no_duration": ("limit", {"duration_s": None}, "malformed", "duration_s"),
    "zero_duration": ("limit", {"duration_s": 0}, "malformed", "duration_s"),
    "endless_duration": ("limit", {"duration_s": 1e12}, "malformed", "duration_s"),
    "duration_text": ("pause", {"duration_s": "60"}, "malformed", "duration_s"),
    "F11_negative": ("limit", {"limit_w": -1}, "malformed", "limit_w"),
    "F11_text": ("limit", {"limit_w": "50000"}, "malformed", "limit_w"),
    "F11_true": ("limit", {"limit_w": True}, "malformed", "limit_w"),
    "negative_phase": (
        "limit",
        {"limit_w": None, "limit_a": [1, -1, 1]},
        "malformed",
        "limit_a[1]",
    ),
    "two_phases": ("limit", {"limit_w": None, "limit_a": [1, 1]}, "malformed", "limit_a"),
    "no_phase": ("limit", {"limit_w": None, "limit_a": [None] * 3}, "malformed", "limit_a"),
    "empty_phases": ("limit", {"limit_w": None, "limit_a": []}, "malformed", "limit_a"),
    "both_limits": ("limit", {"limit_a": [1]}, "malformed", "exactly one of limit_a"),
    "no_limit": ("limit", {"limit_w": None}, "malformed", "exactly one of limit_a"),
    "both_places": ("limit", {"evse": "bay01"}, "malformed", "exactly one of node"),
    "no_place": ("limit", {"node": None}, "malformed", "exactly one of node"),
    "unknown_node": ("limit", {"node": "tx9"}, "unknown_target", "tx9"),
    "node_as_evse": ("pause", {"evse": "tx1"}, "unknown_target", "tx1"),
    "evse_as_node": ("limit", {"node": "bay01"}, "unknown_target", "bay01"),
    "unknown_evse": ("resume", {"evse": "bay99"}, "unknown_target", "bay99"),
    "valid_for_ever": ("limit", {"expires_at": "2199-01-01T00:00:00Z"}, "malformed", "7 days"),
    "expired": ("limit", {"expires_at": "2026-11-24T11:59:59Z"}, "expired", "expires_at"),
    "expires_now": ("limit", {"expires_at": "2026-11-24T12:00:00Z"}, "expired", "expires_at"),
    "not_yet": ("limit", {"made_at": "2026-11-24T12:00:31Z"}, "not_yet_valid", "made_at"),
    "local_time": ("limit", {"expires_at": "2026-11-24T13:00:00"}, "malformed", "expires_at"),
    "energy_missing": ("target", {"energy_wh": None}, "malformed", "energy_wh"),
    "departure_past": ("target", {"departure": "2026-11-24T11:00:00Z"}, "expired", "departure"),
    "target_of_a_group": ("target", {"evse": "bays"}, "unknown_target", "2 EVSEs"),
    "nothing_to_release": (
        "release",
        {"target_command_id": None},
        "malformed",
        "target_command_id",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    verb, changes, code, word = REFUSED[name]

    async def scenario(d: Desk) -> None:
        answer = await d.send(verb, **changes)
        assert result(answer) == f"rejected:{code}"
        assert word in answer.message
        assert d.desk.ceilings() == ()
        assert d.said == [answer]
        assert await d.store.load_all("command") == {}

    desk = run(scenario)
    assert desk.audited[-1]["result"] == code
    assert desk.audited[-1]["actor"] == ("mqtt" if name == "no_issuer" else "mqtt:utility-x")


HOSTILE: dict[str, tuple[bytes, str]] = {
    "not_json": (b"pause!", "malformed"),
    "empty": (b"", "malformed"),
    "list": (b"[]", "malformed"),
    "not_utf8": (b'{"command_id": "\xff"}', "malformed"),
    "deep": (b"[" * 10_000, "too_large"),
    "too_large": (b'{"a": "' + b"x" * 17_000 + b'"}', "too_large"),
    "nan": (b'{"command_id": "a", "limit_w": NaN}', "malformed"),
    "overflow": (b'{"command_id": "a", "limit_w": 1e999}', "malformed"),
    "huge_integer": (b'{"command_id": "a", "limit_w": ' + b"9" * 5000 + b"}", "malformed"),
    "surrogate": (b'{"command_id": "\\udfff"}', "malformed"),
    "key_twice": (b'{"command_id": "a", "command_id": "b"}', "malformed"),
    "id_a_list": (b'{"command_id": ["a"]}', "malformed"),
    "id_of_a_mile": (b'{"command_id": "' + b"x" * 5000 + b'"}', "malformed"),
    "jws": (b"eyJh.eyJpZCI6MX0.c2ln", "malformed"),
    "json_jws": (b'{"payload": "e30", "signature": "c2ln"}', "malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_payloads_are_refused(name: str) -> None:
    payload, code = HOSTILE[name]

    async def scenario(d: Desk) -> None:
        assert result(await d.raw("limit", payload)) == f"rejected:{code}"

    run(scenario)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = ["command_id", "issuer", "made_at", "expires_at", "evse", "node", "limit_a", "limit_w"]
NAMES += ["duration_s", "reason", "departure", "energy_wh", "priority", "target_command_id"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(FIELDS)), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3))
def test_any_value_in_any_field_is_answered(verb: str, changes: dict[str, Any]) -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.raw(verb, json.dumps(d.body(verb) | changes).encode())
        assert answer.code is None or answer.code in set(RefusalCode)
        await d.later(1)

    run(scenario)


def test_an_unknown_command_is_not_supported_and_our_own_answers_are_left_alone() -> None:
    async def scenario(d: Desk) -> None:
        assert result(await d.raw("reboot", b"{}")) == "rejected:not_supported"
        for name in ("command/response", "dr/event", "status"):
            assert (
                await d.desk.handle(
                    name, b"{}", retained=False, connection=Connection.LOOPBACK, now=d.now()
                )
                is None
            )
        assert len(d.said) == 1

    run(scenario)


def test_retained_commands_are_refused_and_cleared_topics_are_left_alone() -> None:
    async def scenario(d: Desk) -> None:
        payload = json.dumps(d.body("limit")).encode()
        answer = await d.raw("limit", payload, retained=True)
        assert result(answer) == "rejected:retained"
        assert answer.command_id == "c-limit"
        cleared = await d.desk.handle(
            "command/limit", b"", retained=True, connection=Connection.LOOPBACK, now=d.now()
        )
        assert cleared is None

    run(scenario)


@pytest.mark.parametrize(
    ("policy", "connection", "taken"),
    [
        (Unsigned.NEVER, Connection.LOOPBACK, False),
        (Unsigned.NEVER, Connection.MTLS, False),
        (Unsigned.MTLS, Connection.MTLS, True),
        (Unsigned.MTLS, Connection.LOOPBACK, False),
        (Unsigned.LOOPBACK, Connection.LOOPBACK, True),
        (Unsigned.LOOPBACK, Connection.OTHER, False),
    ],
)
def test_unsigned_as_the_site_file_says(
    *, policy: Unsigned, connection: Connection, taken: bool
) -> None:
    async def scenario(d: Desk) -> None:
        payload = json.dumps(d.body("limit")).encode()
        answer = await d.raw("limit", payload, connection=connection)
        assert result(answer) == ("accepted" if taken else "rejected:unsigned")
        assert result(await d.local("pause", evse="bay01")) == "accepted"

    run(scenario, unsigned=policy)


def test_the_same_bytes_get_the_first_answer_again() -> None:
    async def scenario(d: Desk) -> None:
        payload = json.dumps(d.body("limit")).encode()
        first = await d.raw("limit", payload)
        await d.later(10)
        for desk in (d, await d.restart()):
            again = await desk.raw("limit", payload)
            assert result(again) == "duplicate"
            assert (again.message, again.until) == (first.message, first.until)
            assert len(desk.desk.ceilings()) == 1
            other = await desk.raw("limit", payload + b" ")
            assert result(other) == "rejected:replayed"
            verb = await desk.raw(
                "pause", json.dumps(d.body("pause", command_id="c-limit")).encode()
            )
            assert result(verb) == "rejected:replayed"
        await d.later(301)
        assert result(await d.raw("limit", payload)) == "duplicate"
        await d.later(600)
        assert await d.store.load_all("command") == {}
        assert result(await d.raw("limit", payload)) == "rejected:expired"

    run(scenario)


def test_a_command_that_was_refused_may_come_again_corrected() -> None:
    async def scenario(d: Desk) -> None:
        assert result(await d.send("limit", node="tx9")) == "rejected:unknown_target"
        assert result(await d.send("limit")) == "accepted"

    run(scenario)


def test_what_cannot_be_kept_has_no_effect() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("pause")
        d.store.full = True
        assert result(await d.send("limit")) == "rejected:not_stored"
        assert result(await d.send("resume")) == "rejected:not_stored"
        assert d.limits() == [("bay01", None, (0.0, 0.0, 0.0))]
        d.store.full = False
        assert result(await d.send("limit")) == "accepted"
        assert result(await d.send("resume")) == "accepted"

    run(scenario)


def test_an_outbox_that_is_full_takes_nothing_from_the_command() -> None:
    async def scenario(d: Desk) -> None:
        d.outbox_full = True
        assert result(await d.send("limit")) == "accepted"
        assert len((await d.restart()).desk.ceilings()) == 1

    run(scenario)


@pytest.mark.parametrize("verb", list(FIELDS))
def test_without_a_trusted_clock_only_tightening_is_taken(verb: str) -> None:
    async def scenario(d: Desk) -> None:
        d.trusted = False
        past = await d.send(verb, expires_at="2026-11-24T11:00:00Z")
        assert result(past) == (
            "accepted" if verb in {"limit", "pause"} else "rejected:clock_untrusted"
        )

    run(scenario)


@pytest.mark.parametrize("by_s", [-86400.0, -90.0, 90.0, 86400.0 * 365 * 20])
@pytest.mark.parametrize("trusted_before", [True, False])
def test_durations_do_not_follow_the_wall_clock(*, by_s: float, trusted_before: bool) -> None:
    async def scenario(d: Desk) -> None:
        d.trusted = trusted_before
        await d.send("limit")
        await d.later(100)
        await d.set_clock(by_s, trusted=True)
        assert len(d.limits()) == 1
        await d.later(499)
        assert len(d.limits()) == 1
        again = await d.restart()
        assert len(again.limits()) == 1
        await again.later(2)
        assert again.limits() == []
        await d.later(2)
        assert d.limits() == []

    run(scenario)


def test_a_restart_with_a_clock_in_doubt_ends_nothing_too_soon() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        d.trusted = False
        d.utc_s += 10 * 86400
        again = await d.restart()
        assert len(again.limits()) == 1
        await again.later(601)
        assert again.limits() == []

    run(scenario)


def test_a_restart_ends_what_ran_out_meanwhile() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        d.utc_s += 601
        again = await d.restart()
        assert again.desk.ceilings() == ()

    run(scenario)


def test_S23_commands_are_bounded_and_the_technician_keeps_room() -> None:  # noqa: N802
    async def scenario(d: Desk) -> None:
        for number in range(COMMANDS_MAX):
            assert result(await d.send("limit", command_id=f"c{number}")) == "accepted"
        assert result(await d.send("limit")) == "rejected:too_many"
        assert result(await d.send("release", target_command_id="c0")) == "accepted"
        assert result(await d.local("pause", evse="bay01")) == "accepted"
        for number in range(RESERVE - 2):
            await d.local("pause", evse="bay01", command_id=f"p{number}")
        assert result(await d.local("pause", evse="bay01")) == "rejected:too_many"
        await d.later(601)
        assert result(await d.send("limit")) == "accepted"

    run(scenario)


def test_local_commands_have_an_id_a_rank_and_an_entry_in_the_audit() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.local("limit", node="tx1", limit_a=[100], duration_s=60)
        assert result(answer) == "accepted"
        assert answer.command_id is not None
        assert answer.command_id.startswith("local-")
        assert d.said == []
        (ceiling,) = d.desk.ceilings()
        assert ceiling.holder.rank is Rank.TECHNICIAN
        assert ceiling.reason == "repair"
        own = await d.local("pause", evse="bay02", command_id="mine", duration_s=5)
        assert own.command_id == "mine"
        wrong = await d.local("limit", node="tx1", limit_a=[100])
        assert result(wrong) == "rejected:malformed"
        assert "duration_s" in wrong.message
        assert result(await d.local("explode", evse="bay01")) == "rejected:not_supported"

    desk = run(scenario)
    assert desk.audited[0] == {
        "t": "2026-11-24T12:00:00.000Z",
        "mono_s": 1000.0,
        "actor": "local:uid 1000",
        "source": "local",
        "action": "limit",
        "result": "accepted",
        "message": "limit on tx1 for 60 s",
        "command_id": "local-1795521600-1",
        "reason": "repair",
    }
    assert [r["result"] for r in desk.audited] == [
        "accepted",
        "accepted",
        "malformed",
        "not_supported",
    ]


def test_a_broken_document_is_audited_and_harms_no_other() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        await d.store.put("command", "zzz", {"verb": "limit"})
        await d.store.put("command", "yyy", {"verb": "explode"})
        (good,) = [
            doc
            for key, doc in (await d.store.load_all("command")).items()
            if key not in {"yyy", "zzz"}
        ]
        await d.store.put("command", "xxx", {**good, "limit_a": ["much", None, None]})
        await d.store.put("command", "www", {**good, "until": "tomorrow"})
        again = await d.restart()
        assert len(again.desk.ceilings()) == 1
        assert [r["result"] for r in again.audited] == ["unreadable"] * 4

    run(scenario)


def test_what_the_site_no_longer_has_is_not_limited_after_the_restart() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("pause", evse="bays")
        smaller = replace(SITE, evses=SITE.evses[:1])
        desk = CommandDesk(
            site=smaller,
            store=d.store,
            unsigned=d.unsigned,
            reply=d.reply,
            audit=d.audited.append,
        )
        await desk.load(d.now())
        assert [c.evse for c in desk.ceilings()] == ["bay01"]

    run(scenario)


def test_view_says_what_is_in_force() -> None:
    async def scenario(d: Desk) -> None:
        await d.send("limit")
        assert d.desk.view() == [
            {
                "command_id": "c-limit",
                "verb": "limit",
                "rank": "utility_voluntary",
                "actor": "mqtt:utility-x",
                "reason": "test",
                "at": ["grid"],
                "since": "2026-11-24T12:00:00.000Z",
                "until": "2026-11-24T12:10:00.000Z",
                "limit_w": 50_000.0,
            }
        ]
        await d.send("release")
        assert d.desk.view() == []

    run(scenario)
