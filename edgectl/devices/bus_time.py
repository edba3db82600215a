"""How long requests take on a link: planned, before anything runs, from the line's own speed.

1. On a serial line every character counts, and so does the device's time to answer.
2. A request that is not answered holds a serial line for its timeout and, since its answer may come
   late, for as long again in silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.reads import Place, plan_reads
from edgectl.devices.writes import keepalive, place_of, setpoint_write
from edgectl.model.modbus import Function, Request
from edgectl.model.serial_line import SerialLine
from edgectl.model.site import Evse, Meter

TCP_EXCHANGE_S: Final = 0.1
"""What S20 allows one answered write over TCP; slower devices are covered by the timeout."""

TCP_USUAL_S: Final = 0.02
"""What one answered request over TCP usually takes: for how busy a link is, not a bound."""

SERIAL_ANSWER_S: Final = 0.05
"""What a device on a serial line takes from the end of a request to the start of its answer."""

_Ask: TypeAlias = tuple[float, float]
"""How long one exchange takes, and how often it is due, in s."""

_LONGEST_READ: Final = Request(unit=1, function=Function.READ_HOLDING, address=0, count=125)


@dataclass(frozen=True, slots=True)
class Polling:
    """What a link has to carry without any setpoint.

    `share`: of its time; above 1: too much. `pass_s`: every one of the requests once.
    """

    share: float
    pass_s: float

    @property
    def late_s(self) -> float:
        """By how much a reading may come late: where not all fits, behind one of every other."""
        return self.pass_s if self.share > 1.0 else 0.0


def write_s(serial: SerialLine | None, profile: Profile, evse: Evse) -> float:
    """Time of one answered setpoint write with the pause that the device wants after it."""
    gap_s = profile.transport.request_gap_s
    if serial is None:
        return TCP_EXCHANGE_S + gap_s
    request = setpoint_write(profile, evse, 0.0).request
    return serial.wire_s(request) + SERIAL_ANSWER_S + gap_s


def unanswered_s(
    serial: SerialLine | None, timeout_s: float, request: Request = _LONGEST_READ
) -> float:
    """Longest time that a request without an answer keeps a link from others."""
    if serial is None:
        return timeout_s
    return 2.0 * timeout_s + serial.wire_s(request)


def polling(serial: SerialLine | None, devices: Iterable[tuple[Meter | Evse, Profile]]) -> Polling:
    """What ordinary polls and keep-alives ask of a link.

    A meter that stands for several nodes is read once. Over TCP the pauses that a device wants
    count too, for its own unit alone: others are served meanwhile.
    """
    of_link: list[_Ask] = []
    of_unit: dict[int, list[_Ask]] = {}
    read = set[tuple[int, int]]()
    for device, profile in devices:
        connector = device.connector if isinstance(device, Evse) else 0
        if (device.unit, connector) in read:
            continue
        read.add((device.unit, connector))
        asks = _asks(serial, device, profile)
        of_link += asks
        if serial is None:
            gap_s = profile.transport.request_gap_s
            of_unit.setdefault(device.unit, []).extend(
                (takes_s + gap_s, period_s) for takes_s, period_s in asks
            )
    lists = [of_link, *of_unit.values()]
    return Polling(
        share=max(sum(takes_s / period_s for takes_s, period_s in asks) for asks in lists),
        pass_s=max(sum(takes_s for takes_s, _ in asks) for asks in lists),
    )


def _asks(serial: SerialLine | None, device: Meter | Evse, profile: Profile) -> list[_Ask]:
    if isinstance(device, Evse):
        place, poll_s = place_of(device), device.traits.poll_s
    else:
        place = Place(
            unit=device.unit, address_offset=device.address_offset, word_order=device.word_order
        )
        poll_s = device.poll_s
    slow_s = max(poll_s, profile.transport.slow_poll_s)
    batches = plan_reads(
        profile,
        unit=place.unit,
        connector=place.connector,
        address_offset=place.address_offset,
        word_order=place.word_order,
    )
    asked = [
        (batch.request, poll_s if batch.period is PollClass.FAST else slow_s) for batch in batches
    ]
    if isinstance(device, Evse):
        plan = keepalive(profile, device)
        request = plan.request or setpoint_write(profile, device, 0.0).request
        if plan.echo is not None:
            asked.append((plan.echo.look.request, plan.echo.look_s))
            asked.append((plan.echo.high, 2.0 * plan.echo.look_s))
        elif plan.period_s is not None:
            asked.append((request, plan.period_s))
    return [(_exchange_s(serial, request), period_s) for request, period_s in asked]


def _exchange_s(serial: SerialLine | None, request: Request) -> float:
    return TCP_USUAL_S if serial is None else serial.wire_s(request) + SERIAL_ANSWER_S
