"""An EVSE that is locked off: who may say so, for how long it holds, and how it ends (S11)."""

import json

from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId
from tests.commands.test_command_desk import Desk, result, run

BAY = EvseId("bay01")
OTHER = EvseId("bay02")


def answered(at_s: float | None) -> dict[EvseId, EvseView]:
    return {BAY: EvseView(last_answer_s=at_s), OTHER: EvseView()}


def test_it_holds_until_the_charger_answers_and_pauses_beyond_that() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.local("isolate", evse="bay01")
        assert result(answer) == "accepted"
        assert "until it answers" in answer.message
        assert answer.until is None
        # What it answered before somebody locked it off says nothing.
        assert d.desk.isolated(answered(d.mono_s - 1.0)) == (BAY,)
        assert d.desk.isolated(answered(None)) == (BAY,)
        await d.later(3600.0)
        assert d.desk.isolated(answered(None)) == (BAY,)
        assert d.desk.isolated(answered(d.mono_s)) == ()
        # Falling silent again brings it back as a fixed load, not as nothing.
        assert d.desk.isolated(answered(None)) == ()
        (ceiling,) = d.desk.ceilings()
        assert (ceiling.evse, ceiling.limit_a) == (BAY, (0.0, 0.0, 0.0))
        assert ceiling.holder.kind == "isolation"

    run(scenario)


def test_that_it_has_answered_is_remembered_over_a_restart() -> None:
    async def scenario(d: Desk) -> None:
        await d.local("isolate", evse="bay01")
        d.desk.isolated(answered(d.mono_s + 1.0))
        await d.later(1.0)
        again = await d.restart()
        assert again.desk.isolated(answered(None)) == ()
        assert len(again.desk.ceilings()) == 1

    run(scenario)


def test_an_isolation_survives_a_restart_and_any_answer_after_it_ends_it() -> None:
    async def scenario(d: Desk) -> None:
        await d.local("isolate", evse="bay01")
        again = await d.restart()
        assert again.desk.isolated(answered(None)) == (BAY,)
        assert again.desk.isolated(answered(again.mono_s + 1.0)) == ()

    run(scenario)


def test_an_answer_before_the_isolation_does_not_end_it_when_the_site_file_is_read_anew() -> None:
    """The next daemon in the process knows when the charger was heard last."""

    async def scenario(d: Desk) -> None:
        heard_s = d.mono_s - 20.0
        await d.local("isolate", evse="bay01")
        await d.later(60.0)
        again = Desk(store=d.store, mono_s=d.mono_s, utc_s=d.utc_s)
        await again.desk.load(again.now())
        assert again.desk.isolated(answered(heard_s)) == (BAY,)
        assert again.desk.isolated(answered(d.mono_s - 30.0)) == ()

    run(scenario)


def test_resume_gives_it_back() -> None:
    async def scenario(d: Desk) -> None:
        await d.local("isolate", evse="bay01")
        assert result(await d.local("resume", evse="bay01")) == "accepted"
        assert d.desk.isolated(answered(None)) == ()
        assert d.desk.ceilings() == ()

    run(scenario)


def test_release_gives_it_back_and_a_newer_one_takes_its_place() -> None:
    async def scenario(d: Desk) -> None:
        await d.local("isolate", evse="bay01")
        d.desk.isolated(answered(d.mono_s + 1.0))
        await d.later(10.0)
        second = await d.local("isolate", evse="bay01", reason="again")
        assert d.desk.isolated(answered(d.mono_s - 9.0)) == (BAY,)
        assert len(d.desk.ceilings()) == 1
        assert result(await d.local("release", target_command_id=second.command_id)) == "accepted"
        assert d.desk.isolated(answered(None)) == ()

    run(scenario)


def test_it_is_not_taken_over_mqtt() -> None:
    async def scenario(d: Desk) -> None:
        body = {"evse": "bay01", "command_id": "c-isolate"}
        answer = await d.raw("isolate", json.dumps(d.body("pause") | body).encode())
        assert result(answer) == "rejected:not_supported"
        assert d.desk.isolated(answered(None)) == ()

    run(scenario)


def test_it_needs_no_clock_because_it_has_no_end_by_time() -> None:
    async def scenario(d: Desk) -> None:
        assert result(await d.local("isolate", evse="bay01")) == "accepted"

    run(scenario, trusted=False)


def test_who_isolated_and_why_is_audited() -> None:
    async def scenario(d: Desk) -> None:
        await d.local("isolate", evse="bay01", reason="breaker Q7")
        (note,) = d.audited
        assert note["action"] == "isolate"
        assert note["actor"] == "local:uid 1000"
        assert note["reason"] == "breaker Q7"

    run(scenario)
