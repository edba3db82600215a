"""What may be written to a charger, as data: setpoint, failsafe block, what feeds the watchdog.

1. A limit is rounded down, never up; below the charger's minimum it becomes the pause value.
2. The failsafe block may sit in flash: it is compared first and written only where it differs.
3. A value outside the profile's range is a fault of ours and stops the program, not the charger.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgectl.devices.codec import Value, encode_point, scaled
from edgectl.devices.mains import amperes_of, watts_of
from edgectl.devices.profile import Failsafe, Feeding, Profile
from edgectl.devices.reads import (
    Place,
    ReadBatch,
    place_order,
    read_point,
    wire_address,
)
from edgectl.errors import InvariantBroken, invariant
from edgectl.model.modbus import Function, Request
from edgectl.model.site import Evse, KeepAlive

_ROUNDING: Final = 1e-9
_SAME: Final = 1e-6
_READS: Final = frozenset({Function.READ_HOLDING, Function.READ_INPUT})


@dataclass(frozen=True, slots=True)
class WriteStep:
    """A setpoint write. `value_a`: what the charger is really told. `readback` None: write-only.

    `command`: the same in the register's own unit, A or W.
    """

    request: Request
    value_a: float
    command: float
    readback: ReadBatch | None


@dataclass(frozen=True, slots=True)
class ArmStep:
    """One write of the failsafe block. `read`, if there is one, comes before it and after it."""

    request: Request
    quantity: str
    want: float
    read: ReadBatch | None

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Tell whether the device says what is wanted; a bad or missing value does not."""
        value = values.get(self.quantity)
        return isinstance(value, float) and abs(value - self.want) <= _SAME


@dataclass(frozen=True, slots=True)
class EchoPlan:
    """A bit to be copied: looked at every `look_s`, answered with `high` where it is not 0."""

    look: ReadBatch
    low: Request
    high: Request
    look_s: float


@dataclass(frozen=True, slots=True)
class KeepAlivePlan:
    """What feeds the watchdog every `period_s`.

    `request` None: nothing of its own is sent. Then ANY_ACCESS and READ are fed by the polls,
    REWRITE by writing the last setpoint again, MIRROR by its `echo`, and NONE has nothing to feed
    (`period_s` None).
    """

    kind: KeepAlive
    request: Request | None
    period_s: float | None
    echo: EchoPlan | None = None


def setpoint_write(
    profile: Profile, evse: Evse, value_a: float, *, mains_v: float | None = None
) -> WriteStep:
    """Write of a limit, rounded down to what the charger takes.

    `mains_v`: the voltage that a limit in watts is reckoned with (`mains.mains_level_v`).
    """
    charger = profile.charging()
    setpoint = charger.setpoint
    most_a = min(setpoint.max_a, evse.traits.hardware_max_a)
    invariant(
        math.isfinite(value_a) and 0.0 <= value_a <= most_a + _ROUNDING,
        f"{evse.id} ({profile.id}): a setpoint of {value_a:g} A is outside 0 to {most_a:g} A",
    )
    told_a = told(profile, evse, value_a)
    command = command_of(profile, evse, told_a, mains_v=mains_v)
    return command_write(profile, evse, command, value_a=told_a)


def command_write(profile: Profile, evse: Evse, command: float, *, value_a: float) -> WriteStep:
    """Write of what the register shall say, which counts as `value_a`."""
    setpoint = profile.charging().setpoint
    place = place_of(evse)
    readback = None if setpoint.readback is None else read_point(profile, place, setpoint.readback)
    return WriteStep(
        request=_write(profile, place, setpoint.point, command, setpoint.function),
        value_a=value_a,
        command=command,
        readback=readback,
    )


def told(profile: Profile, evse: Evse, value_a: float) -> float:
    """Round `value_a` down to what the charger can be told; below its minimum, the pause value."""
    setpoint = profile.charging().setpoint
    if value_a < setpoint.min_a - _ROUNDING:
        return evse.traits.pause_a
    down_a = _down(profile, min(value_a, setpoint.max_a))
    return evse.traits.pause_a if down_a < setpoint.min_a - _ROUNDING else down_a


def command_of(
    profile: Profile, evse: Evse, told_a: float, *, mains_v: float | None = None
) -> float:
    """Give what the register says for a value that `told` gave: A, or W rounded down."""
    charger = profile.charging()
    setpoint, mains = charger.setpoint, charger.mains
    if setpoint.pause_w is None:
        return told_a
    if told_a == evse.traits.pause_a:
        return setpoint.pause_w
    if mains is None or mains_v is None:
        raise InvariantBroken(f"{evse.id}: a limit in watts needs a voltage")
    power_w = watts_of(mains, evse, told_a, mains_v=mains_v)
    point = profile.point(setpoint.point)
    if point.greatest is not None:
        power_w = min(power_w, point.greatest)
    scale = abs(point.scale)
    return scaled(math.floor(power_w / scale + _ROUNDING), scale)


def amperes_told(
    profile: Profile, evse: Evse, command: float, *, mains_v: float | None = None
) -> float:
    """Give the current on each phase that the register's value lets the charger draw."""
    charger = profile.charging()
    if not charger.told_in_watts:
        return command
    if command == charger.setpoint.pause_w:
        return evse.traits.pause_a
    if charger.mains is None or mains_v is None:
        raise InvariantBroken(f"{evse.id}: a limit in watts needs a voltage")
    return amperes_of(charger.mains, evse, command, mains_v=mains_v)


def arm_failsafe(profile: Profile, evse: Evse) -> tuple[ArmStep, ...]:
    """Give the writes of the failsafe block in the device's order; empty where it has none."""
    failsafe = profile.charging().failsafe
    if failsafe is None:
        return ()
    wanted = {
        failsafe.current_write: (failsafe.current_read, evse.traits.failsafe_a),
        failsafe.timeout_write: (failsafe.timeout_read, evse.traits.watchdog_s or 0.0),
    }
    _check_failsafe(profile, evse, failsafe)
    place = place_of(evse)
    steps = [
        ArmStep(
            request=_write(profile, place, first.point, first.value, failsafe.function),
            quantity=first.point,
            want=first.value,
            read=None,
        )
        for first in failsafe.before
    ]
    for name in failsafe.order:
        read_name, want = wanted[name]
        steps.append(
            ArmStep(
                request=_write(profile, place, name, want, failsafe.function),
                quantity=read_name,
                want=want,
                read=read_point(profile, place, read_name),
            )
        )
    return tuple(steps)


def keepalive(profile: Profile, evse: Evse) -> KeepAlivePlan:
    """Say what must be sent, and how often, so that the watchdog does not run out."""
    feeding = profile.charging().feeding
    watchdog_s = evse.traits.watchdog_s
    if feeding.kind is KeepAlive.NONE or watchdog_s is None:
        return KeepAlivePlan(kind=KeepAlive.NONE, request=None, period_s=None)
    return KeepAlivePlan(
        kind=feeding.kind,
        request=_feed_request(profile, place_of(evse), feeding),
        period_s=watchdog_s * feeding.share,
        echo=_echo(profile, place_of(evse), feeding),
    )


def may_feed(profile: Profile, evse: Evse, request: Request) -> bool:
    """Tell whether the request could rearm the watchdog, as far as the documents say."""
    charger = profile.charging()
    feeding = charger.feeding
    if feeding.kind is KeepAlive.NONE:
        return False
    if feeding.kind is KeepAlive.ANY_ACCESS or not feeding.certain:
        return True
    if feeding.kind is KeepAlive.REWRITE:
        fed_by = wire_address(profile, profile.point(charger.setpoint.point), place_of(evse))
        return bool(request.words) and request.address == fed_by
    if feeding.kind is KeepAlive.READ:
        return request.function in _READS
    if not request.words:
        return False
    echo = _echo(profile, place_of(evse), feeding)
    if echo is not None:
        return request in {echo.low, echo.high}
    return request == _feed_request(profile, place_of(evse), feeding)


def place_of(evse: Evse) -> Place:
    """Say where the EVSE answers."""
    return Place(
        unit=evse.unit,
        connector=evse.connector,
        address_offset=evse.address_offset,
        word_order=evse.word_order,
    )


def _down(profile: Profile, value_a: float) -> float:
    """Round down in whole steps, in the register's own counting so that 13.1 A stays 13.1 A."""
    charger = profile.charging()
    setpoint = charger.setpoint
    if charger.told_in_watts:
        if setpoint.step_a == 0.0:
            return value_a
        return math.floor(value_a / setpoint.step_a + _ROUNDING) * setpoint.step_a
    scale = abs(profile.point(setpoint.point).scale)
    step_a = setpoint.step_a or scale
    per_step = max(1, round(step_a / scale))
    steps = math.floor(value_a / step_a + _ROUNDING)
    return scaled(steps * per_step, scale)


def _check_failsafe(profile: Profile, evse: Evse, failsafe: Failsafe) -> None:
    current_a, watchdog_s = evse.traits.failsafe_a, evse.traits.watchdog_s or 0.0
    invariant(
        failsafe_allowed(failsafe, current_a),
        f"{evse.id} ({profile.id}): a failsafe current of {current_a:g} A cannot be set",
    )
    invariant(
        failsafe.min_timeout_s <= watchdog_s <= failsafe.max_timeout_s,
        f"{evse.id} ({profile.id}): a watchdog of {watchdog_s:g} s cannot be set",
    )


def failsafe_allowed(failsafe: Failsafe, current_a: float) -> bool:
    """Tell whether the failsafe register takes the value."""
    return (failsafe.zero_a and current_a == 0.0) or failsafe.min_a <= current_a <= failsafe.max_a


def _feed_request(profile: Profile, place: Place, feeding: Feeding) -> Request | None:
    if feeding.write is None:
        return None
    return _write(profile, place, feeding.write.point, feeding.write.value, feeding.function)


def _echo(profile: Profile, place: Place, feeding: Feeding) -> EchoPlan | None:
    mirror = feeding.mirror
    if mirror is None:
        return None
    return EchoPlan(
        look=read_point(profile, place, mirror.read),
        low=_write(profile, place, mirror.write, mirror.low, feeding.function),
        high=_write(profile, place, mirror.write, mirror.high, feeding.function),
        # Every state of the bit is seen at least once.
        look_s=mirror.toggles_s / 2.0,
    )


def _write(profile: Profile, place: Place, name: str, value: float, function: int) -> Request:
    point = profile.point(name)
    order = place_order(profile, point, place)
    words = encode_point(point, value, word_order=order)
    invariant(
        function == Function.WRITE_MULTIPLE or len(words) == 1,
        f"{profile.id}: {name} has {len(words)} words, function 6 writes one",
    )
    address = wire_address(profile, point, place)
    return Request(unit=place.unit, function=Function(function), address=address, words=words)
