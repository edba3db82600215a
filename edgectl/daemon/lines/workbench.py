"""What the technician does with devices while the daemon has their lines: look, read, write.

1. A request goes through the owner of the device's link, in turn with the daemon's own.
2. A write that touches what edgectl itself keeps in a charger (setpoint, failsafe block, what feeds
   the watchdog) is refused unless it is forced; then what it sets counts before it goes out (S9).
3. Who may do it, and that it is audited with its reason, is the local API's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from edgectl.contract.local_tool import (
    DeviceReport,
    DevicesAnswer,
    LinkReport,
    RegisterAnswer,
    WriteAnswer,
)
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.contract.registers import register_answer
from edgectl.daemon.lines.health import UnitStatus
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.links import LinkOwner
from edgectl.devices.asking import (
    Device,
    Question,
    devices_of,
    question,
    readable,
    writable,
)
from edgectl.devices.codec import decode_point
from edgectl.devices.profile import Profile
from edgectl.devices.reads import place_order
from edgectl.errors import Refused
from edgectl.model.modbus import Miss, Request
from edgectl.model.ports import Clock
from edgectl.model.site import Link, Mode, Site
from edgectl.model.store import Document
from edgectl.units import EvseId

WAIT_S: Final = 8.0
"""For all of a request's turns on the link: less than the local API waits for us."""


class Workbench:
    """`profiles`: the device types of the site by name."""

    def __init__(
        self,
        *,
        site: Site,
        profiles: Mapping[str, Profile],
        owners: Sequence[LinkOwner],
        image: Image,
        clock: Clock,
    ) -> None:
        self._site = site
        self._devices = devices_of(site, profiles)
        self._owners = {owner.status().link: owner for owner in owners}
        self._image = image
        self._clock = clock

    async def look_at_devices(self, _words: Sequence[str], _query: Mapping[str, str]) -> object:
        """Answer `GET /v1/devices`."""
        return DevicesAnswer(links=[self._link_report(link) for link in self._site.links]).to_json()

    async def read(self, words: Sequence[str], _query: Mapping[str, str]) -> object:
        """Answer `GET /v1/read/DEVICE/WHAT`."""
        if len(words) != 2:
            raise refused(
                RefusalCode.MALFORMED, "read needs a device and a quantity", "GET /v1/read/ID/WHAT"
            )
        asked = question(self._device(words[0]), words[1])
        async with self._in_time(asked.device):
            return (await self._read(asked)).to_json()

    async def write(self, words: Sequence[str], body: Document) -> object:
        """Answer `POST /v1/write/DEVICE/WHAT` with `value`, `reason` and, if need be, `force`."""
        value = body.get("value")
        if len(words) != 2 or isinstance(value, bool) or not isinstance(value, int | float):
            raise refused(
                RefusalCode.MALFORMED,
                "write needs a device, a quantity and a number",
                'POST /v1/write/ID/WHAT {"value": 16, "reason": "..."}',
            )
        asked = question(self._device(words[0]), words[1])
        request = asked.write(float(value))
        touched = self._kept(asked)
        if touched is not None and body.get("force") is not True:
            raise Refused(
                code="not_permitted",
                message=f"edgectl itself keeps {touched} of {asked.device.id}; a write would be"
                " undone, and the load be counted wrongly until then",
                remedy="use `edgectl limit` or `edgectl pause`; what must be, must be forced"
                " (--force)",
            )
        async with self._in_time(asked.device):
            before = await self._seen(asked)
            await self._ask(asked.device, request, before=self._entry(asked, request, touched))
            after = await self._seen(asked)
        note = None
        if touched is not None:
            note = f"edgectl will set {touched} again as it wants it"
        return WriteAnswer(
            device=asked.device.id,
            name=asked.point.name,
            address=request.address,
            words=list(request.words),
            before=before,
            after=after,
            note=note,
        ).to_json()

    @asynccontextmanager
    async def _in_time(self, device: Device) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_S):
                yield
        except TimeoutError:
            raise Refused(
                code="busy",
                message=f"link {device.link} had not the time for all of it within {WAIT_S:g} s",
                remedy="see with `edgectl read` what holds now, and `edgectl devices` how it does",
            ) from None

    async def _read(self, asked: Question) -> RegisterAnswer:
        batch = asked.batch()
        words = await self._ask(asked.device, batch.request)
        return register_answer(asked, batch, words, guarded=self._kept(asked))

    async def _seen(self, asked: Question) -> RegisterAnswer | None:
        """What it says, None where it cannot be read: some registers only take."""
        if not asked.can_be_seen:
            return None
        try:
            return await self._read(asked)
        except Refused as fault:
            if fault.code != "no_answer":
                raise
            return None

    async def _ask(
        self,
        device: Device,
        request: Request,
        *,
        before: Callable[[float], None] | None = None,
    ) -> tuple[int, ...]:
        outcome = await self._owners[device.link].ask(
            request, timeout_s=device.profile.transport.timeout_s, before=before
        )
        if isinstance(outcome, Miss):
            raise Refused(
                code="no_answer",
                message=f"{device.id} (link {device.link}, unit {request.unit}, register"
                f" {request.address}): {outcome.detail}",
                remedy="`edgectl devices` shows how it does; look at supply, wiring, unit id and"
                " whether the device has that register",
            )
        return outcome.words

    def _entry(
        self, asked: Question, request: Request, touched: str | None
    ) -> Callable[[float], None] | None:
        """What has to be entered before a forced write: whatever it may set may be drawn."""
        evse = asked.device.evse
        if touched is None or evse is None:
            return None
        point = asked.point
        charger = asked.device.profile.charging()
        most_a = evse.traits.hardware_max_a
        if point.name == charger.setpoint.point:
            order = place_order(asked.device.profile, point, asked.device.place)
            value = decode_point(point, request.words, address=request.address, word_order=order)
            if isinstance(value, float):
                most_a = min(most_a, value)

        def enter(sent_s: float) -> None:
            self._image.sent(EvseId(evse.id), most_a, sent_s)

        return enter

    def _kept(self, asked: Question) -> str | None:
        """Say what a write would touch; in observe mode nothing is edgectl's own."""
        return None if self._site.mode is Mode.OBSERVE else asked.kept

    def _device(self, name: str) -> Device:
        """A meter or EVSE by its id."""
        found = self._devices.get(name)
        if found is None:
            raise refused(
                RefusalCode.UNKNOWN_TARGET,
                f"there is no meter or EVSE {name!r}",
                "`edgectl devices` lists them",
            )
        return found

    def _link_report(self, link: Link) -> LinkReport:
        status = self._owners[link.id].status()
        now_s = self._clock.monotonic_s()
        units = {unit.unit: unit for unit in status.units}
        return LinkReport(
            id=link.id,
            kind=link.kind,
            where=link.where,
            connected=status.connected,
            since_s=max(0.0, now_s - status.since_s),
            connects=status.connects,
            failed_connects=status.failed_connects,
            last_error=status.last_error or None,
            devices=[
                self._device_report(device, units[device.place.unit], now_s)
                for device in self._devices.values()
                if device.link == link.id
            ],
        )

    def _device_report(self, device: Device, unit: UnitStatus, now_s: float) -> DeviceReport:
        evse = device.evse
        if evse is None:
            meter = next(meter for meter in self._site.meters if meter.id == device.id)
            age_s = self._image.meter_quality(meter.id, now_s)[1]
        else:
            age_s = self._image.evse_quality(evse.id, now_s)[1]
        return DeviceReport(
            id=device.id,
            kind=device.profile.kind,
            profile=device.profile.id,
            title=device.profile.title,
            unit=device.place.unit,
            connector=None if evse is None else evse.connector,
            node=device.node,
            age_s=age_s,
            requests=unit.requests,
            answers=unit.answers,
            misses=unit.misses,
            exceptions=unit.exceptions,
            round_trip_ms=None if unit.round_trip_s is None else unit.round_trip_s * 1000,
            last_error=unit.last_error or None,
            quantities=readable(device.profile),
            writable=writable(device.profile),
        )
