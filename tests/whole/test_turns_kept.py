"""What is written of the queue, when, and what is made of it by the next daemon."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.daemon.turns import Turns
from edgectl.model.snapshot import EvseView, KeptTurn
from edgectl.model.state import EvseState, NoDemand
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import EvseId
from tests.mqtt.site import SITE

BAY, OTHER = EvseId("bay01"), EvseId("bay02")
IN_TURN = EvseState(held_a=9.0, setpoint_a=9.0, asked_s=100.0, admitted_s=120.0, energy_from_wh=7.0)
WAITS = EvseState(held_a=0.0, setpoint_a=0.0, asked_s=150.0, stopped_s=140.0, displaced=2)


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    async def put(self, kind: str, key: str, doc: Any) -> None:
        await super().put(kind, key, doc)
        self.writes += 1


def at(mono_s: float, utc_s: float | None = None, *, trusted: bool = True) -> Instant:
    return Instant(
        mono_s=mono_s, utc_s=1e9 + mono_s if utc_s is None else utc_s, utc_trusted=trusted
    )


def ticked(*, heard: bool = True, **states: EvseState) -> Any:
    view = EvseView(last_answer_s=1.0 if heard else None)
    evses = {EvseId(name): state for name, state in states.items()}
    return SimpleNamespace(
        snapshot=SimpleNamespace(evses={BAY: view, OTHER: view}),
        state=SimpleNamespace(evses=evses),
    )


def kept_by(store: MemoryStore, now: Instant, record: Any) -> None:
    async def main() -> None:
        turns = Turns(SITE, store=store)
        turns.observe(record)
        await turns.tick(now)

    asyncio.run(main())


def found_in(store: MemoryStore, now: Instant) -> dict[EvseId, KeptTurn]:
    async def main() -> dict[EvseId, KeptTurn]:
        turns = Turns(SITE, store=store)
        await turns.load(now)
        return {one.evse: one for one in turns.queue()}

    return asyncio.run(main())


def test_it_comes_back_as_it_was_on_another_steady_clock() -> None:
    store = MemoryStore()
    kept_by(store, at(200.0), ticked(bay01=IN_TURN, bay02=WAITS))
    # Another process, whose steady clock began anew, 30 s later.
    found = found_in(store, at(5.0, 1e9 + 230.0))
    assert found[BAY] == KeptTurn(BAY, asked_s=-125.0, admitted_s=-105.0, energy_from_wh=7.0)
    assert found[OTHER] == KeptTurn(OTHER, asked_s=-75.0, stopped_s=-85.0, displaced=2)


def test_who_asks_for_nothing_keeps_no_place() -> None:
    store = MemoryStore()
    resting = replace(IN_TURN, no_demand=NoDemand(since_s=110.0, times=1, until_s=1900.0))
    watched = replace(IN_TURN, no_demand=NoDemand(since_s=110.0))
    kept_by(store, at(200.0), ticked(bay01=resting, bay02=watched))
    found = found_in(store, at(5.0, 1e9 + 230.0))
    assert found[BAY] == KeptTurn(BAY, energy_from_wh=7.0)
    assert found[OTHER] == KeptTurn(OTHER, asked_s=-125.0, admitted_s=-105.0, energy_from_wh=7.0)


@pytest.mark.parametrize(("then", "now"), [(False, True), (True, False), (False, False)])
def test_an_untrusted_clock_counts_no_time_between(*, then: bool, now: bool) -> None:
    store = MemoryStore()
    kept_by(store, at(200.0, trusted=then), ticked(bay01=IN_TURN))
    found = found_in(store, at(5.0, 1e9 + 5000.0, trusted=now))
    assert found[BAY].admitted_s == pytest.approx(5.0 - 80.0)


def test_a_clock_that_went_back_makes_nobody_younger() -> None:
    store = MemoryStore()
    kept_by(store, at(200.0), ticked(bay01=IN_TURN))
    assert found_in(store, at(5.0, 1e9 - 5000.0))[BAY].admitted_s == pytest.approx(-75.0)


def writes(steps: Callable[[Turns, CountingStore], Any]) -> int:
    store = CountingStore()

    async def main() -> None:
        await steps(Turns(SITE, store=store), store)

    asyncio.run(main())
    return store.writes


def test_it_is_written_when_it_changes_and_when_the_clock_is_set() -> None:
    async def steps(turns: Turns, store: CountingStore) -> None:
        for second in range(120):
            turns.observe(ticked(bay01=IN_TURN))
            await turns.tick(at(200.0 + second))
        assert store.writes == 1
        turns.observe(ticked(bay01=IN_TURN, bay02=WAITS))
        await turns.tick(at(330.0))
        assert store.writes == 2
        for second in range(5):
            await turns.tick(at(331.0 + second, 2e9 + second))

    assert writes(steps) == 3


def test_without_a_trusted_clock_it_is_written_again_every_minute_while_somebody_is_in_it() -> None:
    async def steps(turns: Turns, store: CountingStore) -> None:
        for second in range(600):
            turns.observe(ticked(bay01=IN_TURN if second < 300 else EvseState(0.0, 0.0)))
            await turns.tick(at(200.0 + second, trusted=False))
            if second == 299:
                assert store.writes == 5

    assert writes(steps) == 6


def test_a_disk_that_refuses_is_tried_again() -> None:
    async def steps(turns: Turns, store: CountingStore) -> None:
        store.full = True
        turns.observe(ticked(bay01=IN_TURN))
        await turns.tick(at(200.0))
        store.full = False
        await turns.tick(at(201.0))
        await turns.tick(at(202.0))

    assert writes(steps) == 1


def test_what_was_kept_of_a_silent_charger_stands_until_it_is_heard() -> None:
    store = MemoryStore()
    kept_by(store, at(200.0), ticked(bay01=IN_TURN))

    async def main() -> None:
        turns = Turns(SITE, store=store)
        await turns.load(at(210.0))
        turns.observe(ticked(heard=False))
        await turns.tick(at(210.0))

    asyncio.run(main())
    assert found_in(store, at(220.0))[BAY].admitted_s == pytest.approx(120.0)
    kept_by(store, at(230.0), ticked(bay01=EvseState(held_a=0.0, setpoint_a=0.0)))
    assert found_in(store, at(240.0)) == {}


@pytest.mark.parametrize("doc", [{}, {"turns": 7}, {"at_utc_s": "x", "turns": []}])
def test_what_cannot_be_understood_is_forgotten(doc: Any) -> None:
    store = MemoryStore()
    asyncio.run(store.put("queue", "turns", doc))
    assert found_in(store, at(5.0)) == {}
