"""The owner of a serial line: many units, some of them dead, slow or noisy."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus_rtu import serial_line
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.links import LinkOwner
from edgectl.model.decision import AlarmCode
from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.model.site import Link, LinkKind, Mode
from edgectl.simulator.device.serial_server import PtyServer
from edgectl.simulator.memory.line import ExceptionCode
from edgectl.units import LinkId, MeterId
from tests.links.peer import until
from tests.links.toys import (
    CURRENT,
    SETPOINT,
    Depot,
    Quiet,
    ToyStation,
    charger_profile,
    meter_profile,
    play,
    toy_meter,
    toy_site,
)

BUS = Link(id=LinkId("lan"), kind=LinkKind.RTU, device="/dev/ttyUSB0", serial=SerialLine())
UNITS = tuple(range(1, 11))
DEAD, SLOW = 9, 5
ANSWER_S = 0.03


def gaps(times: list[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(times)]


def ten_units(station: ToyStation) -> None:
    station.dead.add(DEAD)
    station.answer_s.update(dict.fromkeys(UNITS, ANSWER_S))
    station.answer_s[SLOW] = 0.2


def test_f14_ten_units_one_dead_one_slow_keep_their_intervals() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(300.0)

    depot = play(
        script, meters=UNITS, metering=meter_profile(timeout_s=0.3), link=BUS, prepare=ten_units
    )
    tries = [heard.at_s for heard in depot.station.of(DEAD)]
    assert 10 <= len(tries) <= 25
    for unit in UNITS:
        if unit == DEAD:
            continue
        polls = depot.station.reads(unit, CURRENT)
        assert len(polls) >= 299
        late = [gap for gap in gaps(polls) if gap > 1.15]
        assert len(late) <= len(tries)
        # A retry may come in between: its timeout, the silence after it, and what it asked for.
        assert max(gaps(polls)) <= 1.0 + 2 * 0.3 + 0.1


def test_f14_a_dead_unit_costs_nothing_where_the_line_has_room_for_its_timeout() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(9)
        await depot.until(10.0)
        settled = len(depot.station.heard)
        await depot.until(300.0)
        seen.append(settled)

    seen: list[int] = []
    depot = play(script, meters=[1, 2, 3, 9], metering=meter_profile(timeout_s=0.3), link=BUS)
    since_s = depot.station.heard[seen[0]].at_s
    assert len(depot.station.of(9, since_s=since_s)) >= 10
    for unit in (1, 2, 3):
        assert max(gaps(depot.station.reads(unit, CURRENT, since_s=since_s))) <= 1.01


def test_a_retry_waits_for_peace_and_not_for_ever() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.add(9)
        await depot.until(120.0)

    # Every 0.25 s somebody is due: a timeout of 0.3 s and its silence never fit in between.
    depot = play(
        script, meters=[1, 2, 9], metering=meter_profile(timeout_s=0.3, poll_s=0.25), link=BUS
    )
    waits = gaps([heard.at_s for heard in depot.station.of(9)])
    assert waits
    assert max(waits) <= 30.0 + 2.0 + 1.0


def test_f15_a_pause_that_one_device_needs_is_no_pause_of_the_line() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(30.0)

    depot = play(script, chargers=[1, 2], profile=charger_profile(request_gap_s=0.1), link=BUS)
    for unit in (1, 2):
        times = [heard.at_s for heard in depot.station.of(unit)]
        assert min(gaps(times)) >= 0.1
    both = sorted(heard.at_s for heard in depot.station.heard)
    assert min(gaps(both)) < 0.1


def test_the_first_units_dead_do_not_starve_the_others() -> None:
    async def script(depot: Depot) -> None:
        depot.station.dead.update({1, 2, 3, 4, 5})
        await depot.until(60.0)

    depot = play(script, meters=range(1, 9), metering=meter_profile(timeout_s=0.3), link=BUS)
    for unit in (6, 7, 8):
        assert len(depot.station.reads(unit, CURRENT)) >= 50


def test_noise_costs_a_unit_no_interval() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(10.05)
        depot.station.short.add(1)
        await depot.until(12.05)
        depot.station.short.clear()
        await depot.until(20.0)

    depot = play(script, meters=[1, 2], link=BUS)
    assert max(gaps(depot.station.reads(1, CURRENT))) <= 1.1
    assert depot.image.misses(MeterId("m1")) == (0, depot.image.misses(MeterId("m1"))[1])


def test_a_unit_that_only_babbles_is_left_alone_like_a_dead_one() -> None:
    async def script(depot: Depot) -> None:
        depot.station.short.add(1)
        await depot.until(120.0)

    depot = play(script, meters=[1, 2], link=BUS)
    assert len(depot.station.reads(1, CURRENT)) <= 20
    assert len(depot.station.reads(2, CURRENT)) >= 119


def test_s14_a_decrease_goes_before_the_retry_of_a_dead_unit() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 16.0
        depot.station.dead.add(9)
        await depot.until(20.5)
        depot.setpoints["e1"] = 8.0
        depot.decide()
        await depot.until(22.0)

    depot = play(
        script,
        chargers=[1],
        meters=[9],
        profile=charger_profile(timeout_s=0.3),
        metering=meter_profile(timeout_s=0.3),
        link=BUS,
    )
    (written_s,) = [at_s for at_s, word in depot.station.writes(1, SETPOINT) if word == 80]
    assert written_s <= 20.5 + 2 * 0.3 + 0.2


def test_a_line_that_cannot_be_opened_says_what_to_look_at() -> None:
    async def script(depot: Depot) -> None:
        depot.line.reachable = False
        await depot.until(3.0)

    depot = play(script, meters=[1], link=BUS)
    (alarm,) = [one for one in depot.owner.alarms() if one.code is AlarmCode.LINK_DOWN]
    assert "speed and parity" in alarm.text
    assert alarm.text.endswith("/dev/ttyUSB0")


@dataclass
class Meters:
    """Real registers behind a real line, on the real clock."""

    polls_s: dict[int, list[float]] = field(default_factory=dict)

    def delay_s(self, _unit: int, _request: Request) -> float:
        return 0.005

    def read(
        self, unit: int, _function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        if unit > 2:
            return ExceptionCode.GATEWAY_TARGET
        self.polls_s.setdefault(unit, []).append(asyncio.get_running_loop().time())
        return tuple(100 * unit + address + n for n in range(count))

    def write(
        self, _unit: int, _function: Function, _address: int, _words: tuple[int, ...]
    ) -> ExceptionCode | None:
        return ExceptionCode.ILLEGAL_FUNCTION


def test_on_a_real_line_an_adapter_goes_and_comes_back(tmp_path: Path) -> None:
    wire = SerialLine(baud=115_200, parity=Parity.NONE)
    device = tmp_path / "ttyUSB0"
    link = Link(id=LinkId("lan"), kind=LinkKind.RTU, device=str(device), serial=wire)
    metering = meter_profile(poll_s=0.05, slow_poll_s=0.5, timeout_s=0.1)

    async def main() -> None:
        clock = SystemClock()
        the_meters = [toy_meter(f"m{unit}", unit, poll_s=0.05) for unit in (1, 2, 3)]
        site = toy_site(the_meters, [], link=link)
        image, log = Image(site), Quiet()
        owner = LinkOwner(
            link=link,
            meters=the_meters,
            evses=[],
            profiles={metering.id: metering},
            line=serial_line(device=str(device), wire=wire, clock=clock),
            image=image,
            lease=Lease(),
            clock=clock,
            rng=random.Random(1),
            mode=Mode.CONTROL,
            log=log,
        )

        def samples(name: str) -> int:
            return len(image.freeze()[0][MeterId(name)].samples)

        async def plugged(then: Callable[[], Awaitable[None]]) -> None:
            server = PtyServer(Meters(), wire)
            device.symlink_to(server.device)
            try:
                await then()
            finally:
                device.unlink()
                await server.stop()

        async def both_read() -> None:
            before = {name: samples(name) for name in ("m1", "m2")}
            await until(lambda: all(samples(name) > before[name] + 3 for name in before))
            assert samples("m3") == 0

        running = asyncio.ensure_future(owner.run())
        try:
            await plugged(both_read)
            await until(lambda: not owner.status().connected)
            await plugged(both_read)
            assert not [one for one in owner.alarms() if one.code is AlarmCode.LINK_DOWN]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        current_a = image.freeze()[0][MeterId("m2")].samples[-1].current_a
        assert current_a == tuple((200 + CURRENT + n) / 10 for n in range(3))

    asyncio.run(main())
