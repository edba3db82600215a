"""Devices of a few registers, and a link owner that talks to them in virtual time."""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.links import LinkOwner
from edgectl.devices.profile import (
    Access,
    ChargerPart,
    Connectors,
    Expect,
    Failsafe,
    Feeding,
    Point,
    PointType,
    PollClass,
    Profile,
    ProfileKind,
    ReadRules,
    RegisterKind,
    Scope,
    Setpoint,
    StateRule,
    Sure,
    Transport,
    WordOrder,
    WriteValue,
)
from edgectl.model.decision import EvseDecision, Reason, ReasonCode
from edgectl.model.modbus import Function, Request
from edgectl.model.reading import VehicleState
from edgectl.model.site import (
    ChargerTraits,
    Evse,
    KeepAlive,
    Link,
    LinkKind,
    Meter,
    Mode,
    Node,
    Site,
)
from edgectl.model.snapshot import EvseView, MeterView
from edgectl.simulator.memory.line import ExceptionCode, MemoryLine
from edgectl.simulator.virtual_time import VirtualClock, run
from edgectl.units import EvseId, LinkId, MeterId, NodeId

ID, CURRENT, STATE, SETPOINT, FAILSAFE, WATCHDOG, TOKEN, ENERGY = 1, 10, 13, 20, 30, 31, 40, 100
ID_WORD = 4711
STRIDE = 200
WATCHDOG_OFF = 0xFFFF
TOKEN_WORD = 0x55AA
ANSWER_S = 0.01


def point(name: str, address: int, **more: Any) -> Point:
    known: dict[str, Any] = {
        "kind": RegisterKind.HOLDING,
        "type": PointType.U16,
        "count": 1,
        "scope": Scope.CONNECTOR,
        **more,
    }
    return Point(name=name, address=address, **known)


def currents(poll: PollClass = PollClass.FAST) -> tuple[Point, ...]:
    return tuple(
        point(f"current_a.{n + 1}", CURRENT + n, scale=0.1, unit="A", greatest=500.0, poll=poll)
        for n in range(3)
    )


def meter_profile(**transport: float) -> Profile:
    return Profile(
        id="toy-meter",
        file="toy-meter.yaml",
        title="",
        kind=ProfileKind.METER,
        word_order=WordOrder.HIGH,
        transport=_transport(**transport),
        read=ReadRules(),
        connectors=Connectors(),
        points=(*currents(), point("energy_import_wh", ENERGY, unit="Wh", poll=PollClass.SLOW)),
        identify=(),
        require=(),
        refresh_s=1.0,
        charger=None,
        caveats=(),
        sure=Sure.C,
        source="",
    )


def charger_profile(
    keepalive: KeepAlive = KeepAlive.REWRITE,
    *,
    certain: bool = True,
    readback: bool = True,
    min_write_interval_s: float = 0.0,
    identify: bool = True,
    setpoint_polled: bool = False,
    connectors: int = 1,
    block_polled: bool = False,
    **transport: float,
) -> Profile:
    failsafe = Failsafe(
        current_write="failsafe_a",
        current_read="failsafe_a",
        timeout_write="watchdog_s",
        timeout_read="watchdog_s",
        min_a=6.0,
        max_a=32.0,
        zero_a=True,
        default_a=6.0,
        min_timeout_s=1.0,
        max_timeout_s=600.0,
        default_timeout_s=60.0,
        order=("failsafe_a", "watchdog_s"),
        function=6,
    )
    setpoint_poll = PollClass.FAST if setpoint_polled else PollClass.NEVER
    block: dict[str, Any] = {
        "access": Access.READ_WRITE,
        "poll": PollClass.SLOW if block_polled else PollClass.NEVER,
    }
    return Profile(
        id="toy-charger",
        file="toy-charger.yaml",
        title="",
        kind=ProfileKind.CHARGER,
        word_order=WordOrder.HIGH,
        transport=_transport(**transport),
        read=ReadRules(),
        connectors=Connectors(last=connectors, stride=STRIDE),
        points=(
            point("device_id", ID),
            *currents(),
            point("state", STATE, words_of=((0, "free"), (1, "busy")), poll=PollClass.FAST),
            point(
                "setpoint_a",
                SETPOINT,
                scale=0.1,
                unit="A",
                greatest=80.0,
                access=Access.READ_WRITE if readback else Access.WRITE,
                poll=setpoint_poll,
            ),
            point("failsafe_a", FAILSAFE, scale=0.1, unit="A", **block),
            point("watchdog_s", WATCHDOG, unit="s", invalid=(WATCHDOG_OFF,), **block),
            point("token", TOKEN, access=Access.WRITE),
        ),
        identify=(Expect(point="device_id", one_of=(float(ID_WORD),), remedy="check the unit"),)
        if identify
        else (),
        require=(),
        refresh_s=1.0,
        charger=ChargerPart(
            setpoint=Setpoint(
                point="setpoint_a",
                min_a=6.0,
                max_a=80.0,
                step_a=0.1,
                pause_a=0.0,
                function=6,
                min_write_interval_s=min_write_interval_s,
                readback="setpoint_a" if readback else None,
            ),
            failsafe=None if keepalive is KeepAlive.NONE else failsafe,
            feeding=Feeding(
                kind=keepalive,
                certain=certain,
                share=1 / 3,
                write=WriteValue(point="token", value=float(TOKEN_WORD))
                if keepalive is KeepAlive.TOKEN
                else None,
            ),
            states=(
                StateRule(when=(("state", ("free",)),), state=VehicleState.ABSENT),
                StateRule(when=(("state", ("busy",)),), state=VehicleState.CHARGING),
            ),
            settle_s=10.0,
            pause_settle_s=6.0,
            boot_a=None,
        ),
        caveats=(),
        sure=Sure.C,
        source="",
    )


def _transport(**given: float) -> Transport:
    known = {
        "timeout_s": 1.0,
        "request_gap_s": 0.0,
        "poll_s": 1.0,
        "slow_poll_s": 30.0,
        "reconnect_min_s": 0.5,
        **given,
    }
    return Transport(**known)


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as the station saw it."""

    at_s: float
    request: Request

    @property
    def writes(self) -> bool:
        return bool(self.request.words)


@dataclass
class ToyStation:
    """Registers by unit; dead units do not answer, `refuses` answers exceptions."""

    clock: VirtualClock
    words: dict[int, dict[int, int]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    deaf: set[int] = field(default_factory=set)
    hears: Callable[[Request], bool] = lambda _request: True
    answer_s: dict[int, float] = field(default_factory=dict)
    refuses: Callable[[Request], ExceptionCode | None] = lambda _request: None
    short: set[int] = field(default_factory=set)
    keeps: Callable[[int, int, int], bool] = lambda _unit, _address, _word: True

    def add_meter(self, unit: int, *amperes: float) -> None:
        self.words[unit] = {CURRENT + n: round(10 * a) for n, a in enumerate(amperes)}
        self.words[unit][ENERGY] = 5

    def add_charger(self, unit: int, *, setpoint_a: float = 32.0, connectors: int = 1) -> None:
        of_one = {
            ID: ID_WORD,
            CURRENT: 0,
            CURRENT + 1: 0,
            CURRENT + 2: 0,
            STATE: 0,
            SETPOINT: round(10 * setpoint_a),
            FAILSAFE: 320,
            WATCHDOG: 600,
            TOKEN: 0,
        }
        self.words[unit] = {
            address + n * STRIDE: word
            for n in range(connectors)
            for address, word in of_one.items()
        }

    def delay_s(self, unit: int, request: Request) -> float:
        self.heard.append(Heard(self.clock.monotonic_s(), request))
        if unit in self.dead or unit not in self.words or not self.hears(request):
            return math.inf
        if unit in self.deaf:
            return 1e6
        return self.answer_s.get(unit, ANSWER_S)

    def read(
        self, unit: int, _function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        request = self.heard[-1].request
        if (refused := self.refuses(request)) is not None:
            return refused
        known = self.words[unit]
        if any(address + n not in known for n in range(count)):
            return ExceptionCode.ILLEGAL_ADDRESS
        values = tuple(known[address + n] for n in range(count))
        return values[:-1] if unit in self.short else values

    def write(
        self, unit: int, _function: Function, address: int, words: tuple[int, ...]
    ) -> ExceptionCode | None:
        if (refused := self.refuses(self.heard[-1].request)) is not None:
            return refused
        for n, word in enumerate(words):
            if self.keeps(unit, address + n, word):
                self.words[unit][address + n] = word
        return None

    def setpoint_a(self, unit: int) -> float:
        return self.words[unit][SETPOINT] / 10

    def of(self, unit: int, *, since_s: float = 0.0) -> list[Heard]:
        return [h for h in self.heard if h.request.unit == unit and h.at_s >= since_s]

    def reads(self, unit: int, address: int, *, since_s: float = 0.0) -> list[float]:
        """Times of the reads at an address."""
        return [
            h.at_s
            for h in self.of(unit, since_s=since_s)
            if not h.writes and h.request.address == address
        ]

    def writes(self, unit: int, address: int = SETPOINT) -> list[tuple[float, int]]:
        """Times and words of the writes to an address."""
        return [
            (h.at_s, h.request.words[0])
            for h in self.of(unit)
            if h.writes and h.request.address == address
        ]


class Quiet:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def debug(self, event: str, **_fields: Any) -> None:
        self.said.append(("debug", event))

    def info(self, event: str, **_fields: Any) -> None:
        self.said.append(("info", event))

    def warning(self, event: str, **_fields: Any) -> None:
        self.said.append(("warning", event))


@dataclass
class Depot:
    """One link with its owner, and everything around it."""

    clock: VirtualClock
    station: ToyStation
    line: MemoryLine
    image: Image
    lease: Lease
    owner: LinkOwner
    log: Quiet
    evses: tuple[Evse, ...]
    woken: list[float]
    setpoints: dict[str, float] = field(default_factory=dict)
    silent: set[str] | None = None
    leased: bool = True

    async def until(self, at_s: float) -> None:
        await self.clock.sleep_until(at_s)

    def evse(self, name: str) -> EvseView:
        return self.image.freeze()[1][EvseId(name)]

    def meter(self, name: str) -> MeterView:
        return self.image.freeze()[0][MeterId(name)]

    def alarms(self) -> set[tuple[str, str]]:
        return {(alarm.code, alarm.id) for alarm in self.owner.alarms()}

    def decide(self) -> None:
        """What a tick does: silent by S9 unless the test says who is."""
        now_s = self.clock.monotonic_s()
        if self.leased:
            self.lease.renew(now_s)
        decided = {}
        for evse in self.evses:
            last_s = self.evse(evse.id).last_answer_s
            silent = last_s is None or now_s - last_s > max(3 * evse.traits.poll_s, 5.0)
            if self.silent is not None:
                silent = evse.id in self.silent
            decided[evse.id] = decision(self.setpoints.get(evse.id, 6.0), silent=silent)
        self.owner.targets(decided)


def decision(setpoint_a: float, *, silent: bool = False) -> EvseDecision:
    return EvseDecision(
        allocation_a=setpoint_a,
        setpoint_a=setpoint_a,
        committed_a=setpoint_a,
        silent=silent,
        reason=Reason(code=ReasonCode.NODE_CEILING),
    )


def toy_evse(
    name: str, unit: int, profile: Profile, *, poll_s: float = 1.0, connector: int = 1
) -> Evse:
    charger = profile.charger
    assert charger is not None
    guarded = charger.failsafe is not None
    return Evse(
        id=EvseId(name),
        node=NodeId("grid"),
        profile=profile.id,
        link=LinkId("lan"),
        unit=unit,
        connector=connector,
        phases=(1, 2, 3),
        max_a=32.0,
        traits=ChargerTraits(
            hardware_max_a=32.0,
            step_a=0.1,
            keepalive=charger.feeding.kind,
            watchdog_s=60.0 if guarded else None,
            failsafe_a=6.0 if guarded else 32.0,
            boot_a=32.0,
            poll_s=poll_s,
            readback=charger.setpoint.readback is not None,
            min_write_interval_s=charger.setpoint.min_write_interval_s,
        ),
    )


def toy_meter(name: str, unit: int, *, poll_s: float = 1.0) -> Meter:
    return Meter(
        id=MeterId(name),
        node=NodeId("grid"),
        profile="toy-meter",
        link=LinkId("lan"),
        unit=unit,
        poll_s=poll_s,
    )


TCP = Link(id=LinkId("lan"), kind=LinkKind.TCP, host="10.0.0.1", port=502)


def toy_site(
    meters: Iterable[Meter],
    evses: Iterable[Evse],
    mode: Mode = Mode.CONTROL,
    link: Link = TCP,
) -> Site:
    return Site(
        id="toy",
        region="here",
        timezone="UTC",
        voltage_v=230.0,
        mode=mode,
        nodes=(Node(id=NodeId("grid"), parent=None, limit_a=(100.0, 100.0, 100.0)),),
        meters=tuple(meters),
        evses=tuple(evses),
        links=(link,),
    )


def play(
    script: Callable[[Depot], Coroutine[Any, Any, None]],
    *,
    chargers: Sequence[int] = (),
    meters: Sequence[int] = (),
    profile: Profile | None = None,
    metering: Profile | None = None,
    mode: Mode = Mode.CONTROL,
    ticking: bool = True,
    seed: int = 1,
    connect_s: float = 0.0,
    link: Link = TCP,
    prepare: Callable[[ToyStation], None] = lambda _station: None,
) -> Depot:
    """Run `script` beside an owner of a link with these units; chargers are e1.., meters m1.. .

    Further connectors of charger e1 are e1.2.. .
    """
    charging = charger_profile() if profile is None else profile
    measuring = meter_profile() if metering is None else metering

    async def main() -> Depot:
        clock = VirtualClock()
        station = ToyStation(clock)
        connectors = range(1, charging.connectors.last + 1)
        the_evses = tuple(
            toy_evse(
                f"e{unit}" if connector == 1 else f"e{unit}.{connector}",
                unit,
                charging,
                poll_s=charging.transport.poll_s,
                connector=connector,
            )
            for unit in chargers
            for connector in connectors
        )
        the_meters = tuple(
            toy_meter(f"m{unit}", unit, poll_s=measuring.transport.poll_s) for unit in meters
        )
        for unit in chargers:
            station.add_charger(unit, connectors=len(connectors))
        for unit in meters:
            station.add_meter(unit, 10.0, 20.0, 30.0)
        prepare(station)
        site = toy_site(the_meters, the_evses, mode, link)
        woken: list[float] = []
        image = Image(site, on_wake=lambda: woken.append(clock.monotonic_s()))
        lease = Lease()
        line = MemoryLine(station, clock, connect_s=connect_s, serial=link.serial)
        log = Quiet()
        owner = LinkOwner(
            link=site.links[0],
            meters=the_meters,
            evses=the_evses,
            profiles={charging.id: charging, measuring.id: measuring},
            line=line,
            image=image,
            lease=lease,
            clock=clock,
            rng=random.Random(seed),
            mode=mode,
            log=log,
        )
        depot = Depot(
            clock=clock,
            station=station,
            line=line,
            image=image,
            lease=lease,
            owner=owner,
            log=log,
            evses=the_evses,
            woken=woken,
        )
        tasks = [asyncio.ensure_future(owner.run())]
        if ticking:
            tasks.append(asyncio.ensure_future(_tick(depot)))
        try:
            await script(depot)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return depot

    return run(main())


async def _tick(depot: Depot) -> None:
    at_s = depot.clock.monotonic_s()
    while True:
        depot.decide()
        at_s += 1.0
        await depot.clock.sleep_until(at_s)
