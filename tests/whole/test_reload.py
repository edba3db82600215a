"""The site file read anew while a simulated depot charges: what goes on, what is met anew."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from edgectl.contract.envelope import rfc3339
from edgectl.contract.messages import thin
from edgectl.daemon.assemble import Ports
from edgectl.daemon.handover import leaving, same_evses, same_meters
from edgectl.daemon.lifecycle import Daemon
from edgectl.daemon.reload import Reloader
from edgectl.daemon.succession import run_in_succession
from edgectl.errors import BadInput, Finding
from edgectl.model.decision import AlarmCode
from edgectl.model.modbus import Answer, Line, Miss, Request
from edgectl.model.record import TickRecord
from edgectl.model.site import Link, Mode, Site
from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Depot, build_depot
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.memory.line import MemoryLine
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.memory.store import MemoryStore
from edgectl.simulator.virtual_time import VirtualClock
from edgectl.sitefile.load import LoadedSite
from tests.api.world import Journal
from tests.whole.harness import KeptCrashes, StillWatchdog, loaded_site
from tests.whole.test_virtual import evening

RELOAD_S = 70.0
END_S = 95.0
EARLY_S = 15.0


@dataclass
class SpiedLine:
    """A line that keeps when something was answered on it."""

    line: Line
    answered_s: list[tuple[int, float]]
    written: list[tuple[float, Request]]

    async def open(self, *, timeout_s: float) -> Miss | None:
        return await self.line.open(timeout_s=timeout_s)

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        outcome = await self.line.exchange(request, timeout_s=timeout_s)
        if isinstance(outcome, Answer):
            self.answered_s.append((request.unit, outcome.received_s))
            if request.words:
                self.written.append((outcome.sent_s, request))
        return outcome

    async def close(self) -> None:
        await self.line.close()


@dataclass
class FileInHand:
    """A site file that a test changes; an exception stands for a broken one."""

    now: LoadedSite | Exception

    async def load(self) -> LoadedSite:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@dataclass
class Run:
    """Daemons in a row on one depot."""

    file: FileInHand
    clock: VirtualClock
    depot: Depot
    watchdog: StillWatchdog
    reloader: Reloader
    broker: MemoryBroker
    lines: dict[str, SpiedLine] = field(default_factory=dict)
    records: list[TickRecord] = field(default_factory=list)
    daemons: list[Daemon] = field(default_factory=list)
    safe_a: dict[str, float] = field(default_factory=dict)

    def latest(self) -> TickRecord:
        record = self.daemons[-1].tick.latest
        assert record is not None
        return record

    def alarms(self) -> set[str]:
        return {alarm.code for alarm in self.reloader.alarms()}


def play(script: Callable[[Run], Any], *, name: str = "demo-depot.yaml") -> Run:
    loaded = loaded_site(name)

    async def main() -> Run:
        clock = VirtualClock()
        depot = build_depot(loaded.site, seed=1, clock=clock.monotonic_s, record=True)
        depot.begin(replace(evening(loaded), faults=()))
        watchdog, broker = StillWatchdog(), MemoryBroker()
        file = FileInHand(loaded)
        reloader = Reloader(loaded, file, clock=clock, watchdog=watchdog, log=Journal().log())
        run = Run(file, clock, depot, watchdog, reloader, broker)

        def line(link: Link) -> Line:
            made = MemoryLine(depot.station_for(link.id), clock, connect_s=0.05)
            known = run.lines.get(link.id)
            if known is not None:
                known.line = made
                return known
            return run.lines.setdefault(link.id, SpiedLine(made, [], []))

        ports = Ports(
            clock=clock,
            rng=random.Random(1),
            watchdog=watchdog,
            crash_record=KeptCrashes(),
            store=MemoryStore(),
            line=line,
            outbox=MemoryOutbox("stream-1", thin=thin),
            broker=broker,
        )

        async def fit(ports: Ports, _site: LoadedSite) -> Ports:
            return ports

        def steer(daemon: Daemon) -> None:
            daemon.tick.observe(run.records.append)
            run.daemons.append(daemon)

        async def daemons() -> None:
            await run_in_succession(reloader, ports, version="test", fit=fit, steer=steer)

        async with asyncio.TaskGroup() as group:
            running = group.create_task(daemons(), name="daemons")
            await script(run)
            run.daemons[-1].stop()
            await running
        run.safe_a = {
            str(evse): one.setpoint_a for evse, one in run.daemons[-1].tick.safe().evses.items()
        }
        return run

    return virtual_time.run(main())


def changed(loaded: LoadedSite, **changes: Any) -> LoadedSite:
    """The same file with another site, as if it had been edited."""
    site: Site = replace(loaded.site, **changes)
    return replace(loaded, site=site, config_hash=loaded.config_hash + "-changed")


async def reload_at(run: Run, new: LoadedSite | Exception, *, at_s: float = RELOAD_S) -> Any:
    await run.clock.sleep_until(at_s)
    run.file.now = new
    return await run.reloader.reload()


def test_chargers_that_are_the_same_go_on_without_a_dip() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        first = replace(loaded.site.evses[0], weight=2.0)
        evses = (first, *loaded.site.evses[1:])
        answer = await reload_at(run, changed(loaded, evses=evses))
        assert answer.result == "taken"
        assert "12 of 12 EVSEs go on as they are" in answer.message
        await run.clock.sleep_until(END_S)

    run = play(script)
    assert len(run.daemons) == 2
    assert run.reloader.loaded.config_hash.endswith("-changed")
    before = [record for record in run.records if record.now.mono_s < RELOAD_S][-1]
    after = [record for record in run.records if record.now.mono_s >= RELOAD_S]
    # The tick goes on: the watchdog of the service and those of the chargers are fed in time.
    times = [record.now.mono_s for record in run.records]
    assert max(b - a for a, b in pairwise(times)) <= 1.5
    for line in run.lines.values():
        answered = [at_s for _, at_s in line.answered_s if RELOAD_S - 20 < at_s < RELOAD_S + 20]
        assert max(b - a for a, b in pairwise(answered)) <= 6.0
    charging = [evse for evse, one in before.decision.evses.items() if one.setpoint_a >= 6.0]
    assert charging
    for record in after[:10]:
        silent = {evse for evse, one in record.decision.evses.items() if one.silent}
        silent_before = {evse for evse, one in before.decision.evses.items() if one.silent}
        assert silent <= silent_before
        assert all(record.decision.evses[evse].setpoint_a > 0.0 for evse in charging)
    assert [word for word in run.watchdog.said if word][:3] == ["ready", "reloading", "ready"]
    published = [one.payload for one in run.broker.published]
    assert len([one for one in published if b"site_file_taken" in one]) == 1
    # The region is told changes, not a new start: sessions and alarms go on.
    told = {one["seq"]: one for one in map(json.loads, published) if "code" in one}
    raised = [one for one in told.values() if one["code"] == "alarm_raised"]
    assert raised
    assert not [one for one in raised if one["t"] > rfc3339(after[0].now.utc_s)]


def test_nothing_is_overloaded_and_nobody_raised_into_debt_by_it() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        nodes = tuple(
            replace(node, limit_a=(60.0, 60.0, 60.0)) if node.id == "feeder-a" else node
            for node in loaded.site.nodes
        )
        await reload_at(run, changed(loaded, nodes=nodes))
        await run.clock.sleep_until(END_S)

    run = play(script)
    last = run.latest().decision.nodes
    account_a = next(one for node, one in last.items() if node == "feeder-a").account_a
    assert max(account_a) <= 60.0 + 1e-6
    late = [record for record in run.records if record.now.mono_s > RELOAD_S - 10.0]
    for before, after in pairwise(late):
        for evse in before.decision.evses.keys() & after.decision.evses.keys():
            node = next(e.node for e in after.snapshot.site.evses if e.id == evse)
            account = after.decision.nodes[node]
            over = any(
                ceiling is not None and value > ceiling + 1e-6
                for value, ceiling in zip(account.account_a, account.ceiling_a, strict=True)
            )
            raised = (
                after.decision.evses[evse].setpoint_a
                > before.decision.evses[evse].setpoint_a + 1e-6
            )
            assert not (over and raised), (evse, after.now.mono_s)


def test_an_evse_that_leaves_is_told_its_safe_value_and_then_nothing() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        evses = tuple(evse for evse in loaded.site.evses if evse.id != "a1")
        answer = await reload_at(run, changed(loaded, evses=evses, groups={}))
        assert "told their safe value and left: a1" in answer.message
        await run.clock.sleep_until(END_S)

    run = play(script)
    evse = next(one for one in loaded.site.evses if one.id == "a1")
    # CHARX: the setpoint of connector 1 is holding register 1301, in A.
    told = [
        (at_s, request.words[0])
        for at_s, request in run.lines[evse.link].written
        if request.address == 1301
    ]
    last_s, last_a = told[-1]
    assert last_a <= evse.traits.failsafe_a
    assert RELOAD_S <= last_s <= RELOAD_S + 10.0
    before = [record for record in run.records if record.now.mono_s < RELOAD_S][-1]
    assert before.decision.evses[evse.id].setpoint_a > evse.traits.failsafe_a
    assert evse.id not in run.latest().decision.evses


def test_a_device_that_changed_is_met_like_a_stranger() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        first = loaded.site.evses[0]
        other = replace(first, max_a=20.0, traits=replace(first.traits, hardware_max_a=20.0))
        answer = await reload_at(run, changed(loaded, evses=(other, *loaded.site.evses[1:])))
        assert "met anew: a1" in answer.message
        await run.clock.sleep_until(END_S)

    run = play(script)
    first_after = next(
        record for record in run.records if record.snapshot.site.evses[0].max_a == 20.0
    )
    decision = first_after.decision.evses[loaded.site.evses[0].id]
    assert decision.silent
    assert decision.committed_a == 20.0
    assert not run.latest().decision.evses[loaded.site.evses[0].id].silent


def refused(path: str) -> BadInput:
    return BadInput(
        [
            Finding(
                file="site.yaml", line=7, path=path, code="c", message="is wrong", remedy="mend it"
            )
        ]
    )


@pytest.mark.parametrize("broken", [refused("nodes[0]"), RuntimeError("a fault of ours")])
def test_a_broken_file_changes_nothing_and_is_said(broken: Exception) -> None:
    async def script(run: Run) -> None:
        answer = await reload_at(run, broken, at_s=EARLY_S)
        assert answer.result == "refused"
        assert answer.errors
        assert run.alarms() == {AlarmCode.SITE_FILE_REFUSED}
        await run.clock.sleep_until(EARLY_S + 10.0)
        status = run.reloader.status()
        assert status.refused
        assert status.hash == loaded_site().config_hash
        # The file as it was is no news, and ends the alarm.
        run.file.now = loaded_site()
        assert (await run.reloader.reload()).result == "unchanged"
        assert run.alarms() == set()

    run = play(script)
    assert len(run.daemons) == 1
    assert run.watchdog.said.count("reloading") == run.watchdog.said.count("ready") - 1 == 2
    raised = [one for one in run.broker.published if b"site_file_refused" in one.payload]
    assert any(b"alarm_raised" in one.payload for one in raised)
    times = [record.now.mono_s for record in run.records]
    assert max(b - a for a, b in pairwise(times)) <= 1.5


def test_another_site_needs_a_restart() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        answer = await reload_at(run, changed(loaded, id="elsewhere", region="moon"), at_s=EARLY_S)
        assert answer.result == "refused"
        assert [error.path for error in answer.errors] == ["site.id", "site.region"]
        assert "systemctl restart" in answer.errors[0].remedy

    assert len(play(script).daemons) == 1


def test_a_risk_that_nobody_accepted_is_refused() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        risky = changed(loaded)
        proof = loaded_site("demo-depot.yaml").proof
        risk = type("Risk", (), {"name": "dead_gateway:tx1", "text": "short", "node": "tx1"})()
        answer = await reload_at(
            run, replace(risky, proof=replace(proof, risks=(risk,))), at_s=EARLY_S
        )
        assert answer.result == "refused"
        assert "accept_risks: [dead_gateway:tx1]" in answer.errors[0].remedy

    assert len(play(script).daemons) == 1


def test_a_stop_during_a_reload_is_a_stop() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        evses = loaded.site.evses[1:]
        await reload_at(run, changed(loaded, evses=evses, groups={}))

    run = play(script)
    assert run.watchdog.said[-1] == "stopping"
    assert run.safe_a
    assert all(value <= 6.0 for value in run.safe_a.values())


def test_hang_up_after_hang_up_is_one_reload_at_a_time() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        for number in range(5):
            await run.clock.sleep_until(15.0 + number)
            weight = 2.0 + number
            evses = (replace(loaded.site.evses[0], weight=weight), *loaded.site.evses[1:])
            made = changed(loaded, evses=evses)
            run.file.now = replace(made, config_hash=f"hash-{number}")
            run.reloader.ask()
        await run.clock.sleep_until(35.0)
        run.reloader.ask()
        await run.clock.sleep_until(50.0)

    run = play(script)
    assert run.reloader.loaded.config_hash == "hash-4"
    assert 2 <= len(run.daemons) <= 6


def test_a_site_that_no_daemon_can_be_put_together_for_is_given_back() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        # A fault of ours: the check let through what cannot be wired.
        first = replace(loaded.site.evses[0], profile="gone")
        broken = changed(loaded, evses=(first, *loaded.site.evses[1:]))
        answer = await reload_at(run, broken, at_s=EARLY_S)
        assert answer.result == "taken"
        await run.clock.sleep_until(EARLY_S + 20.0)
        assert run.reloader.loaded.config_hash == loaded.config_hash
        assert run.alarms() == {AlarmCode.SITE_FILE_REFUSED}
        assert len(run.daemons) == 2
        assert all(not one.silent for one in run.latest().decision.evses.values())

    play(script)


def test_a_change_while_another_is_taken_up_is_not_forgotten() -> None:
    loaded = loaded_site()

    async def script(run: Run) -> None:
        first = replace(changed(loaded), config_hash="first")
        assert (await reload_at(run, first, at_s=EARLY_S)).result == "taken"
        run.file.now = replace(changed(loaded), config_hash="second")
        assert (await run.reloader.reload()).message == "another change is being taken up"
        await run.clock.sleep_until(EARLY_S + 20.0)
        assert run.reloader.loaded.config_hash == "second"

    assert len(play(script).daemons) == 3


def test_what_is_the_same_device() -> None:
    loaded = loaded_site()
    every = frozenset(evse.id for evse in loaded.site.evses)
    assert same_evses(loaded, loaded) == every
    assert leaving(loaded, loaded) == frozenset()
    moved = changed(loaded, links=tuple(replace(li, port=1) for li in loaded.site.links))
    assert same_evses(loaded, moved) == frozenset()
    assert same_meters(loaded, moved) == frozenset()
    observed = changed(loaded, mode=Mode.OBSERVE)
    assert same_evses(loaded, observed) == frozenset()
    assert leaving(loaded, observed) == every
    assert leaving(observed, loaded) == frozenset()
    slower = changed(
        loaded, meters=tuple(replace(meter, poll_s=2.0) for meter in loaded.site.meters)
    )
    assert len(same_meters(loaded, slower)) == len(loaded.site.meters)
