"""One trial: a seed becomes a site, its vehicles, faults and orders; the whole daemon runs on it.

1. The same trial gives the same bits, whoever runs it and in whatever process.
2. Parts can be left out by their numbers; what is left happens as before, which is what a shrinking
   search needs.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from traceback import format_exception
from typing import Final, TypeAlias

from edgectl.model.record import TickRecord
from edgectl.model.rules import ALL_ON, Rules
from edgectl.model.telemetry import OutMessage
from edgectl.simulator import virtual_time
from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.depot import Depot, Scenario, build_depot
from edgectl.simulator.faults import AROUND, Fault, FaultKind
from edgectl.simulator.memory.broker import MemoryBroker
from edgectl.simulator.sessions import Session
from edgectl.simulator.trial.evidence import Evidence, Heard, Life, Look, Sent
from edgectl.simulator.trial.gateway import Disk, Process
from edgectl.simulator.trial.mishaps import (
    draw_faults,
    draw_long_stays,
    draw_loss,
    draw_sessions,
)
from edgectl.simulator.trial.orders import Message, Order, draw_orders, message
from edgectl.simulator.trial.site_plan import SitePlan, draw_site
from edgectl.simulator.trial.unmetered import without_measurements
from edgectl.simulator.virtual_time import START_UTC_S, VirtualClock
from edgectl.sitefile.load import LoadedSite, load_source
from edgectl.sitefile.source import parse_bytes
from edgectl.units import LinkId

QUIET_S: Final = 240.0
"""Time at the end without faults, but for one charger's, in which all must come right again."""

FIRST_FAULT_S: Final = 25.0
FAULTS_PER_MINUTE: Final = (0.5, 2.5)
LOOK_EVERY_S: Final = 5.0
AFTERWARDS_S: Final = 2.0
"""Time in which the site is looked at after the last stop."""

KILLED_WITHIN_S: Final = 15.0
SAMPLES_MAX: Final = 32
SENT_MAX: Final = 16
RECORDED_PART: Final = 0.125
"""Of all trials, so many write a flight record: it takes as long again as a third of a trial."""

NORTH_AMERICAN_EVERY: Final = 8
"""One seed in so many has a site with phasors or a bound on how far phases are apart."""

_BOUNDS_EVERY: Final = 10
_OUTAGES: Final = frozenset({FaultKind.GATEWAY_KILLED, FaultKind.GATEWAY_STOPPED})

Act: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything that a seed gives; what happens is a function of it."""

    seed: int
    duration_s: float
    plan: SitePlan
    loaded: LoadedSite
    sessions: tuple[Session, ...]
    faults: tuple[Fault, ...]
    orders: tuple[Order, ...]
    rules: Rules = ALL_ON
    recorded: bool = False

    def without(self, names: Collection[str]) -> "Trial":
        """Switch off the rules with these ids, such as `s4`; ValueError for one without a switch.

        Only here may a rule be off: the product passes all on.
        """
        by_id = switches()
        unknown = sorted(set(names) - by_id.keys())
        if unknown:
            known = ", ".join(by_id)
            raise ValueError(f"no rule {', '.join(unknown)} can be switched off; known are {known}")
        off = {by_id[name]: False for name in names}
        return replace(self, rules=replace(self.rules, **off))

    def only(
        self,
        *,
        faults: frozenset[int] | None = None,
        orders: frozenset[int] | None = None,
        evses: frozenset[str] | None = None,
    ) -> "Trial":
        """Leave out what is not named; None leaves a list whole."""
        kept = self if evses is None else self._with_evses(evses)
        kept_faults = [f for n, f in enumerate(self.faults) if faults is None or n in faults]
        kept_orders = [o for n, o in enumerate(self.orders) if orders is None or n in orders]
        gone = _names(self.loaded) - _names(kept.loaded)
        return replace(
            kept,
            sessions=tuple(s for s in self.sessions if s.evse not in gone),
            faults=tuple(fault for fault in kept_faults if fault.id not in gone),
            orders=tuple(o for o in kept_orders if o.fields.get("evse") not in gone),
        )

    def _with_evses(self, evses: frozenset[str]) -> "Trial":
        plan = self.plan.only(evses)
        return replace(self, plan=plan, loaded=_load(plan))


def switches() -> dict[str, str]:
    """Give the switch of every rule that has one, by the rule's id."""
    return {one.name.partition("_")[0]: one.name for one in fields(Rules)}


def draw_trial(seed: int) -> Trial:
    """Draw a trial. Every part has a random stream of its own."""

    def stream(part: str) -> random.Random:
        return random.Random(f"{part} {seed}")

    north_american = seed % NORTH_AMERICAN_EVERY == NORTH_AMERICAN_EVERY - 1
    plan = draw_site(stream("site"), north_american=north_american)
    loaded = _load(plan)
    rng = stream("trial")
    duration_s = round(rng.choice([600.0, 900.0, 1200.0]) + QUIET_S, 1)
    quiet_s = duration_s - QUIET_S
    minutes = (quiet_s - FIRST_FAULT_S) / 60.0
    trial = Trial(
        seed=seed,
        duration_s=duration_s,
        plan=plan,
        loaded=loaded,
        sessions=draw_sessions(stream("sessions"), loaded.site, duration_s=duration_s),
        faults=draw_faults(
            stream("faults"),
            loaded.site,
            from_s=FIRST_FAULT_S,
            until_s=quiet_s,
            count=round(minutes * rng.uniform(*FAULTS_PER_MINUTE)),
        ),
        orders=draw_orders(
            stream("orders"),
            loaded.site,
            from_s=5.0,
            until_s=quiet_s,
            count=rng.randint(0, 15),
        ),
        recorded=stream("record").random() < RECORDED_PART,
    )
    loss = draw_loss(
        stream("loss"), loaded.site, from_s=quiet_s, until_s=duration_s + 2.0 * AFTERWARDS_S
    )
    return _about_a_loss(trial, loss) if loss else trial


def _about_a_loss(trial: Trial, loss: tuple[Fault, ...]) -> Trial:
    """Leave a charger lost at the end, beside others of which nothing but room holds any back.

    Nobody asks for anything, no clock jumps, and all vehicles stay: what the lost one leaves to the
    others (S9, S10) is what they must be seen to use.
    """
    plan = replace(trial.plan, caps=())
    kept = tuple(fault for fault in trial.faults if fault.kind is not FaultKind.CLOCK_JUMP)
    return replace(
        trial,
        plan=plan,
        loaded=_load(plan),
        sessions=draw_long_stays(trial.loaded.site, duration_s=trial.duration_s),
        faults=(*kept, *loss),
        orders=(),
    )


def run_trial(trial: Trial) -> Evidence:
    """Run a trial to its end."""
    runs: list[_Run] = []

    async def main() -> None:
        runs.append(_Run(trial))
        await runs[0].run()

    virtual_time.run(main())
    return runs[0].evidence


def _names(loaded: LoadedSite) -> set[str]:
    """Of what may be left out."""
    return {*(evse.id for evse in loaded.site.evses), *(link.id for link in loaded.site.links)}


def _load(plan: SitePlan) -> LoadedSite:
    return without_measurements(
        load_source(parse_bytes(plan.text().encode(), file="trial.yaml")), plan.unmetered
    )


@dataclass
class _Run:
    """A trial under way; made on the virtual-time loop."""

    trial: Trial
    clock: VirtualClock = field(default_factory=VirtualClock)
    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def __post_init__(self) -> None:
        trial, site = self.trial, self.trial.loaded.site
        self.depot: Depot = build_depot(
            site, seed=trial.seed, clock=self.clock.monotonic_s, record=True
        )
        self.depot.begin(Scenario(sessions=trial.sessions, faults=trial.faults))
        self.disk = Disk(f"stream-{trial.seed}")
        self.broker.listen(self._hear)
        self.prefix = f"edgectl/v1/{site.region}/{site.id}/"
        self.down: set[LinkId] = set()
        self.process: Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.digest = hashlib.blake2b(digest_size=16)
        self.written: dict[str, Message] = {}
        self.wanted = True
        self.ticks = 0
        self.starts = 0
        self.failed = False
        self.evidence = Evidence(
            site=site,
            links=link_facts(trial.loaded),
            sessions=trial.sessions,
            faults=trial.faults,
            duration_s=trial.duration_s,
            quiet_s=trial.duration_s - QUIET_S,
            start_utc_s=START_UTC_S,
            tells_every_s=trial.loaded.settings.telemetry.at_least_s,
            trace=self.depot.trace,
            stream=self.disk.outbox.stream,
        )

    async def run(self) -> None:
        """Let everything happen in its order of time."""
        agenda = [*self._fault_acts(), *self._order_acts(), *self._look_acts()]
        async with asyncio.TaskGroup() as group:
            self.group = group
            self._start()
            for at_s, act in sorted(agenda, key=lambda one: one[0]):
                await self.clock.sleep_until(at_s)
                if self.failed:
                    break
                act()
            if not self.failed:
                await self.clock.sleep_until(self.trial.duration_s)
            self.wanted = False
            await self._stop()
            await self.clock.sleep_until(self.clock.monotonic_s() + AFTERWARDS_S)
        self.depot.advance()
        evidence, outbox = self.evidence, self.disk.outbox
        evidence.delivered_wh = self.depot.delivered_wh()
        evidence.last_seq, evidence.counts = outbox.last_seq, outbox.counts
        for one in evidence.trace.evses.values():
            self.digest.update(repr(one.drawn_a).encode())
        evidence.record = self.digest.hexdigest()
        evidence.journals = tuple(journal.data for journal in self.disk.journals)

    # What happens around the daemon.

    def _fault_acts(self) -> Iterator[tuple[float, Act]]:
        for fault in self.trial.faults:
            if fault.kind in _OUTAGES:
                yield fault.at_s, partial(self._begin_outage, fault)
            elif fault.kind is FaultKind.CLOCK_JUMP:
                yield fault.at_s, partial(self._jump, fault.by_s)
            elif fault.kind in AROUND:
                for at_s in (fault.at_s, fault.until_s):
                    if at_s is not None:
                        yield at_s, partial(self._weather, fault, begins=at_s == fault.at_s)

    def _order_acts(self) -> Iterator[tuple[float, Act]]:
        for order in self.trial.orders:
            yield order.at_s, partial(self._send, order)

    def _look_acts(self) -> Iterator[tuple[float, Act]]:
        for number in range(1, int(self.trial.duration_s / LOOK_EVERY_S)):
            yield number * LOOK_EVERY_S, self._look

    def _weather(self, fault: Fault, *, begins: bool) -> None:
        """Set what is around the daemon to what is wrong with it now."""
        now_s = self.clock.monotonic_s()
        wrong = {(f.kind, f.id) for f in self.trial.faults if f.kind in AROUND and f.active(now_s)}
        kinds = {kind for kind, _ in wrong}
        broker = self.broker
        if begins and fault.kind is FaultKind.BROKER_KILLED:
            broker.kill()
        broker.reachable = kinds.isdisjoint({FaultKind.BROKER_AWAY, FaultKind.BROKER_KILLED})
        if not broker.reachable:
            broker.cut()
        broker.silent = FaultKind.BROKER_MUTE in kinds
        self.disk.fill(full=FaultKind.DISK_FULL in kinds)
        self.clock.utc_trusted = FaultKind.CLOCK_UNTRUSTED not in kinds
        self.down.clear()
        self.down |= {LinkId(id_) for kind, id_ in wrong if kind is FaultKind.LINK_DOWN}
        if self.process is not None:
            for link, line in self.process.lines.items():
                line.reachable = link not in self.down

    def _jump(self, by_s: float) -> None:
        self.clock.shift_utc(by_s)
        self.evidence.clock_s.append((self.clock.monotonic_s(), by_s))

    def _send(self, order: Order) -> None:
        at_s = self.clock.monotonic_s()
        written = message(order, self.written, utc_s=START_UTC_S + at_s)
        if written is None:
            return
        self.written[order.id] = written
        heard = self.broker.publish(
            self.prefix + written.name, written.payload, retain=written.retain
        )
        self.evidence.sent.append(Sent(at_s, order, heard))

    def _hear(self, out: OutMessage) -> None:
        self.digest.update(out.payload)
        body = json.loads(out.payload) if out.payload else {}
        name = out.topic.removeprefix(self.prefix)
        self.evidence.heard.append(Heard(self.clock.monotonic_s(), name, body))

    def _look(self) -> None:
        process = self.process
        self.evidence.looks.append(
            Look(
                at_s=self.clock.monotonic_s(),
                ticks=self.ticks,
                tasks=len(asyncio.all_tasks()),
                talked_s={} if process is None else dict(process.talked_s),
                connected=self.broker.connected,
                backlog=self.disk.outbox.counts.waiting,
            )
        )

    # The daemon's lives.

    def _begin_outage(self, fault: Fault) -> None:
        self.group.create_task(self._outage(fault), name="outage")

    async def _outage(self, fault: Fault) -> None:
        if fault.kind is FaultKind.GATEWAY_STOPPED:
            await self._stop()
        elif self.process is not None:
            if fault.moment:
                await self.process.killed_at(fault.moment, within_s=KILLED_WITHIN_S)
            await self._kill()
        await self.clock.sleep_until(fault.at_s if fault.until_s is None else fault.until_s)
        if self.wanted and self.process is None:
            self._start()

    def _start(self) -> None:
        self.starts += 1
        life = Life(started_s=self.clock.monotonic_s())
        self.evidence.lives.append(life)
        process = self.process = Process(
            self.trial.loaded,
            seed=f"{self.trial.seed} {self.starts}",
            clock=self.clock,
            depot=self.depot,
            broker=self.broker,
            disk=self.disk,
            down=self.down,
            rules=self.trial.rules,
            recorded=self.trial.recorded,
        )
        process.daemon.tick.observe(self._ticked)
        self.task = self.group.create_task(self._live(process, life), name="gateway")

    async def _live(self, process: Process, life: Life) -> None:
        try:
            await process.daemon.run()
        except asyncio.CancelledError:
            if not process.dead:
                raise
            life.ended = "killed"
        except Exception as failure:  # noqa: BLE001 - whatever ends a daemon is what we look for
            life.ended, life.failure = "failed", "".join(format_exception(failure))
            self.failed = True
        else:
            life.ended = "stopped"
        life.until_s = self.clock.monotonic_s()
        life.crashes, life.writes = process.crashes, process.writes
        if self.process is process:
            self.process = self.task = None

    async def _kill(self) -> None:
        process, task = self.process, self.task
        if process is None or task is None:
            return
        process.kill()
        task.cancel()
        await asyncio.wait((task,))
        self.broker.cut()

    async def _stop(self) -> None:
        process, task = self.process, self.task
        if process is None or task is None:
            return
        self.evidence.lives[-1].stopping_s = self.clock.monotonic_s()
        process.daemon.stop()
        await asyncio.wait((task,))

    def _ticked(self, record: TickRecord) -> None:
        self.ticks += 1
        self.evidence.ticks_s.append(record.now.mono_s)
        decided = [(e.setpoint_a, e.committed_a) for e in record.decision.evses.values()]
        nodes = [(n.base_a, n.promise_a) for n in record.decision.nodes.values()]
        self.digest.update(repr((record.now, decided, nodes)).encode())
        if self.ticks % _BOUNDS_EVERY == 0:
            self._watch_bounds(record)

    def _watch_bounds(self, record: TickRecord) -> None:
        """S23: what the daemon keeps of each device stays bounded."""
        snapshot = record.snapshot
        kept = [len(view.samples) for view in snapshot.meters.values()]
        kept += [len(view.samples) for view in snapshot.evses.values()]
        if max(kept, default=0) > SAMPLES_MAX:
            self.evidence.overgrown = "samples"
        if any(len(view.sent) > SENT_MAX for view in snapshot.evses.values()):
            self.evidence.overgrown = "setpoints sent"
