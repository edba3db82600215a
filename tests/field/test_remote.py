"""Words from far away: limits, their ends, and their absence."""

import json

from edgectl.simulator import virtual_time
from edgectl.units import NodeId
from tests.field.yard import (
    GRID,
    PREFIX,
    Bay,
    Place,
    Seen,
    limit_command,
    limit_event,
    running,
    stay,
    told,
    whole_yard,
    yard,
)
from tests.whole.harness import Whole

ONE = yard(Bay(id="bay"), nodes=[Place(limit_a=(40.0,) * 3)])
TIGHT = yard(Bay(id="bay"), nodes=[Place(limit_a=(25.0,) * 3)])
FULL_A = 32.0
REACTION_S = 12.0
MIN_OFF_S = 180.0


def ceilings_va(whole: Whole, *, from_s: float, until_s: float) -> list[float | None]:
    """What the site was allowed, tick by tick."""
    return [
        record.decision.nodes[NodeId(GRID)].ceiling_va
        for record in whole.records
        if from_s <= record.now.mono_s < until_s
    ]


def test_f11_zero_means_zero_and_no_duration_means_until_changed() -> None:
    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(ONE, stay("bay"))
        async with running(whole) as seen:
            await whole.until(40.0)
            limit_event(whole, kw=0.0)
            await whole.until(300.0)
            limit_event(whole, kw=-11.0, id_="negative")
            await whole.until(320.0)
            limit_event(whole, kw=0.0, duration="PT0S")
            await whole.until(350.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.drawn_a("bay", until_s=40.0)[-1] == FULL_A
    assert set(seen.drawn_a("bay", from_s=40.0 + REACTION_S, until_s=320.0)) == {0.0}
    assert set(ceilings_va(whole, from_s=42.0, until_s=320.0)) == {0.0}
    assert seen.drawn_a("bay")[-1] == FULL_A, "an explicit duration of zero cancels"
    states: dict[str, list[str]] = {}
    for answer in told(whole, "dr/response"):
        states.setdefault(answer["event_id"], []).append(answer["state"])
    assert states["negative"] == ["refused"]
    assert states["evt"][-1] == "cancelled"


def test_f16_a_depot_without_a_broker_and_without_a_word_charges() -> None:
    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(ONE, stay("bay"))
        whole.broker.reachable = False
        async with running(whole) as seen:
            await whole.until(60.0)
            whole.broker.reachable = True
            await whole.until(180.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert seen.drawn_a("bay", until_s=60.0)[-1] == FULL_A
    assert min(seen.drawn_a("bay", from_s=60.0)) == FULL_A
    assert told(whole, "status")[0]["state"] == "online"
    assert not whole.crashes.errors


def test_f17_an_event_ends_on_time_while_the_broker_is_away_and_the_next_one_is_heard() -> None:
    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(ONE, stay("bay"))
        async with running(whole) as seen:
            await whole.until(40.0)
            limit_event(whole, kw=7.0, duration="PT60S")
            await whole.until(50.0)
            whole.broker.reachable = False
            whole.broker.cut()
            await whole.until(200.0)
            limit_event(whole, kw=9.0, id_="meanwhile", duration="PT1H")
            await whole.until(250.0)
            whole.broker.reachable = True
            await whole.until(340.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    event_a = 6_310.0 / 690.0
    assert 6.0 <= max(seen.drawn_a("bay", from_s=52.0, until_s=100.0)) <= event_a
    assert min(seen.drawn_a("bay", from_s=100.0 + REACTION_S, until_s=250.0)) == FULL_A
    assert 9.0 < seen.drawn_a("bay")[-1] <= 9_000.0 / 690.0
    assert whole.broker.connections == 2
    sent = {body["seq"] for name in TOPICS for body in told(whole, name)}
    assert sent == set(range(1, max(sent) + 1)), "and nothing is missing"


TOPICS = ("telemetry", "event", "report/dr", "dr/response", "command/response")


LINK_LOSS = yard(
    Bay(id="bay"),
    nodes=[Place(limit_a=(60.0,) * 3)],
    program="prog, kind: mandatory, default_unit: KW, recover_within_s: 0, "
    "on_link_loss: {after_s: 60, limit_kw: 6.9, for_s: 120}",
)


def test_f11_a_lost_utility_limits_until_it_speaks_again_and_never_runs_out() -> None:
    """A heartbeat alone is believed after `for_s`, a new limit at once."""

    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(LINK_LOSS, stay("bay"))
        async with running(whole) as seen:
            for second in range(10, 60, 10):
                await whole.until(float(second))
                whole.broker.publish(PREFIX + "dr/heartbeat/prog", b"")
            await whole.until(600.0)
            for second in range(600, 760, 10):
                await whole.until(float(second))
                whole.broker.publish(PREFIX + "dr/heartbeat/prog", b"still here")
            await whole.until(1000.0)
            limit_event(whole, kw=13.8)
            await whole.until(1055.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    lost_a = 6_900.0 / 690.0
    assert min(seen.drawn_a("bay", from_s=40.0, until_s=105.0)) == FULL_A
    held = seen.drawn_a("bay", from_s=125.0, until_s=600.0)
    assert 6.0 <= max(held) <= lost_a, "the fallback holds and does not run out"
    assert min(seen.drawn_a("bay", from_s=640.0, until_s=800.0)) == FULL_A, "after for_s"
    assert max(seen.drawn_a("bay", from_s=860.0, until_s=1000.0)) <= lost_a, "lost again"
    after = seen.drawn_a("bay", from_s=1040.0)
    assert lost_a < max(after) <= 13_800.0 / 690.0, "a new limit ends it at once"
    alarms = [body["data"].get("alarm") for body in told(whole, "event")]
    assert "utility_lost" in alarms


def test_f23_the_last_word_of_a_backend_that_is_gone_ends_by_itself() -> None:
    """A limit of 0 A, or one far above the fuse: both end, neither rules for ever or widens."""

    async def main() -> Seen:
        whole = whole_yard(TIGHT, stay("bay"))
        async with running(whole) as seen:
            await whole.until(30.0)
            limit_command(whole, number=1, duration_s=1e6, limit_a=[500.0])
            await whole.until(40.0)
            limit_command(whole, number=2, duration_s=60.0, limit_a=[0.0])
            await whole.until(41.0)
            whole.broker.reachable = False
            whole.broker.cut()
            await whole.until(40.0 + MIN_OFF_S + 40.0)
        return seen

    seen = virtual_time.run(main())
    assert seen.drawn_a("bay", until_s=40.0)[-1] == 24.0
    assert set(seen.drawn_a("bay", from_s=40.0 + REACTION_S, until_s=100.0)) == {0.0}
    assert seen.drawn_a("bay")[-1] == 24.0
    assert max(seen.flow_a()) == 24.0, "no word from afar adds to what the fuse takes"


def test_f24_a_cancelled_event_is_gone_in_the_same_tick() -> None:
    async def main() -> tuple[Whole, Seen]:
        whole = whole_yard(ONE, stay("bay"))
        async with running(whole) as seen:
            await whole.until(40.0)
            limit_event(whole, kw=7.0, duration="PT1H")
            await whole.until(80.3)
            whole.broker.publish(f"{PREFIX}dr/event/evt", b"", retain=True)
            await whole.until(100.0)
        return whole, seen

    whole, seen = virtual_time.run(main())
    assert set(ceilings_va(whole, from_s=42.0, until_s=80.3)) == {7_000.0}
    assert set(ceilings_va(whole, from_s=80.3, until_s=100.0)) == {None}
    assert seen.drawn_a("bay", until_s=80.3)[-1] == 9.0
    assert seen.drawn_a("bay")[-1] == FULL_A
    states = [answer["state"] for answer in told(whole, "dr/response")]
    assert states == ["received", "accepted", "active", "cancelled"]
    assert json.loads(whole.broker.retained[f"{PREFIX}status"].payload)["state"] == "offline"
