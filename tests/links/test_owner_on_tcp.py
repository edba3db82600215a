"""The owner of a link on the real clock, against real Modbus TCP servers on loopback."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgectl.adapters.clock import SystemClock
from edgectl.adapters.modbus import TcpLine
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.links import LinkOwner
from edgectl.devices.profile import Profile
from edgectl.model.site import Evse, Meter, Mode
from edgectl.model.snapshot import EvseView
from edgectl.units import EvseId
from tests.links.peer import Asked, Peer, listening, until
from tests.links.toys import (
    CURRENT,
    ENERGY,
    FAILSAFE,
    ID,
    ID_WORD,
    SETPOINT,
    STATE,
    TOKEN,
    WATCHDOG,
    Quiet,
    charger_profile,
    decision,
    meter_profile,
    toy_evse,
    toy_meter,
    toy_site,
)

PROFILE = charger_profile(poll_s=0.05, slow_poll_s=0.2)
METERING = meter_profile(poll_s=0.05, slow_poll_s=0.2, timeout_s=0.3)


@dataclass
class Stand:
    owner: LinkOwner
    image: Image
    lease: Lease
    clock: SystemClock

    def decide(self, **setpoints: float) -> None:
        self.lease.renew(self.clock.monotonic_s())
        self.owner.targets(
            {
                EvseId(name): decision(value, silent=self.evse(name).last_answer_s is None)
                for name, value in setpoints.items()
            }
        )

    def evse(self, name: str) -> EvseView:
        return self.image.freeze()[1][EvseId(name)]


def stand(port: int, *, evses: Sequence[Evse] = (), meters: Sequence[Meter] = ()) -> Stand:
    clock = SystemClock()
    site = toy_site(meters, evses)
    image = Image(site)
    lease = Lease(hold_s=60.0)
    profiles: dict[str, Profile] = {PROFILE.id: PROFILE, METERING.id: METERING}
    owner = LinkOwner(
        link=site.links[0],
        meters=meters,
        evses=evses,
        profiles=profiles,
        line=TcpLine(host="127.0.0.1", port=port, clock=clock),
        image=image,
        lease=lease,
        clock=clock,
        rng=random.Random(1),
        mode=Mode.CONTROL,
        log=Quiet(),
    )
    return Stand(owner, image, lease, clock)


@asynccontextmanager
async def server(units: Sequence[int]) -> AsyncIterator[tuple[ModbusTcpServer, int]]:
    registers = {
        ID: ID_WORD,
        CURRENT: 100,
        CURRENT + 1: 200,
        CURRENT + 2: 300,
        STATE: 1,
        SETPOINT: 320,
        FAILSAFE: 320,
        WATCHDOG: 600,
        TOKEN: 0,
        ENERGY: 5,
    }
    devices = [
        SimDevice(
            id=unit,
            simdata=[
                SimData(address, values=[word], datatype=DataType.REGISTERS)
                for address, word in registers.items()
            ],
        )
        for unit in units
    ]
    serving = ModbusTcpServer(devices, address=("127.0.0.1", 0))
    await serving.serve_forever(background=True)
    transport: Any = serving.transport
    try:
        yield serving, transport.sockets[0].getsockname()[1]
    finally:
        await serving.shutdown()  # type: ignore[no-untyped-call]


def with_owner(place: Stand, talk: Callable[[], Awaitable[None]]) -> Awaitable[None]:
    async def both() -> None:
        running = asyncio.ensure_future(place.owner.run())
        try:
            await talk()
        finally:
            running.cancel()
            (outcome,) = await asyncio.gather(running, return_exceptions=True)
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)

    return both()


def test_a_charger_is_called_armed_confirmed_polled_and_lowered() -> None:
    async def main() -> None:
        async with server([1, 2]) as (serving, port):
            place = stand(
                port,
                evses=[toy_evse("e1", 1, PROFILE, poll_s=0.05)],
                meters=[toy_meter("m2", 2, poll_s=0.05)],
            )

            async def talk() -> None:
                place.decide(e1=16.0)
                await until(lambda: bool(place.evse("e1").samples))
                view = place.evse("e1")
                assert view.confirmed is not None
                assert view.confirmed.value_a == 16.0
                assert (view.failsafe_a, view.watchdog_s) == (6.0, 60.0)
                assert view.samples[-1].current_a == (10.0, 20.0, 30.0)
                place.decide(e1=8.0)
                await until(lambda: _confirmed(place, "e1") == 8.0)
                words = await serving.async_getValues(1, 3, SETPOINT, 1)
                assert words == [80]
                await until(lambda: bool(place.image.freeze()[0][toy_meter("m2", 2).id].samples))
                deadline_s = place.clock.monotonic_s() + 20.0
                await place.owner.safe_stop({EvseId("e1"): 6.0}, deadline_s=deadline_s)
                assert _confirmed(place, "e1") == 6.0
                assert place.owner.alarms() == ()

            await with_owner(place, talk)

    asyncio.run(main())


def test_a_late_answer_of_one_device_is_never_anothers_value() -> None:
    """Unit 1 answers everything one request too late; unit 2 must not be given its words."""
    owed: list[bytes] = []

    def behaviour(asked: Asked) -> list[bytes]:
        first = 1000 * asked.unit
        answer = asked.words(*range(first, first + asked.count))
        if asked.unit == 1:
            owed.append(answer)
            return []
        late = [owed.pop()] if owed else []
        return [*late, answer]

    async def main() -> None:
        async with listening(behaviour) as peer:
            meters = [toy_meter("m1", 1, poll_s=0.05), toy_meter("m2", 2, poll_s=0.05)]
            place = stand(peer.port, meters=meters)

            async def talk() -> None:
                await until(lambda: _times_asked(peer, 1) >= 2 and _times_asked(peer, 2) >= 8)
                views = place.image.freeze()[0]
                assert views[meters[0].id].samples == ()
                assert views[meters[1].id].samples
                for sample in views[meters[1].id].samples:
                    assert sample.current_a == (200.0, 200.1, 200.2)

            await with_owner(place, talk)

    asyncio.run(main())


def test_a_server_that_goes_away_and_comes_back_is_found_again() -> None:
    async def main() -> None:
        meter = toy_meter("m1", 1, poll_s=0.05)

        def plain(asked: Asked) -> list[bytes]:
            return [asked.words(*range(asked.count))]

        async with listening(plain) as peer:
            place = stand(peer.port, meters=[meter])

            async def talk() -> None:
                await until(lambda: bool(place.image.freeze()[0][meter.id].samples))
                await peer.hang_up()
                before = place.image.freeze()[0][meter.id].samples[-1].taken_s
                await until(
                    lambda: (
                        place.image.freeze()[0][meter.id].samples[-1].taken_s > before
                        and peer.connections == 2
                    )
                )

            await with_owner(place, talk)

    asyncio.run(main())


def _confirmed(place: Stand, name: str) -> float | None:
    confirmed = place.evse(name).confirmed
    return None if confirmed is None else confirmed.value_a


def _times_asked(peer: Peer, unit: int) -> int:
    return sum(1 for asked in peer.asked if asked.unit == unit)
