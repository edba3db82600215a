"""What a charger's part of a profile must be beyond its shape."""

from collections.abc import Iterator
from typing import Final

from edgectl.devices.profile import (
    ChargerPart,
    Failsafe,
    Feeding,
    Mirror,
    Point,
    PollClass,
    Setpoint,
    StateRule,
)
from edgectl.devices.quantities import CURRENTS
from edgectl.devices.writes import failsafe_allowed
from edgectl.errors import Finding
from edgectl.model.site import KeepAlive
from edgectl.sitefile.profile_checker import Checker
from edgectl.sitefile.source import did_you_mean
from edgectl.sitefile.yaml_text import Where

_STEP_TOLERANCE: Final = 1e-6
_WRITTEN: Final = frozenset({KeepAlive.TOKEN, KeepAlive.LIFE_BIT})


class ChargerChecker(Checker):
    """References, ranges and the belonging together of setpoint, failsafe and keep-alive."""

    def charger(self, charger: ChargerPart) -> Iterator[Finding]:
        """Find everything wrong with the charger's part."""
        yield from self._setpoint(charger.setpoint)
        yield from self._mains(charger)
        if charger.failsafe is not None:
            yield from self._failsafe(charger.failsafe)
            if charger.outside is not None:
                yield self.say(
                    ("failsafe_outside",),
                    "bad_value",
                    "a failsafe block and one that is set outside exclude each other",
                    "write `failsafe: none`, or remove failsafe_outside",
                )
        yield from self._feeding(
            charger.feeding,
            has_failsafe=charger.failsafe is not None or charger.outside is not None,
        )
        for position, rule in enumerate(charger.states):
            yield from self._state(("states", position, "when"), rule)

    def _state(self, prefix: Where, rule: StateRule) -> Iterator[Finding]:
        for name, said in rule.when:
            where: Where = (*prefix, name)
            yield from self.readable(where, name)
            if not self.can_read(name):
                continue
            point = self.profile.point(name)
            if point.poll is not PollClass.FAST:
                yield self.say(
                    where, "bad_value", f"{name} is not polled fast", "add `poll: fast` to it"
                )
            words = [word for _, word in point.words_of]
            for word in said:
                if words and word not in words:
                    yield self.say(
                        where,
                        "unknown_name",
                        f"{name} never says {word}{did_you_mean(word, words)}",
                        f"its codes are {', '.join(words)}",
                    )

    def _setpoint(self, setpoint: Setpoint) -> Iterator[Finding]:
        yield from self.writable(("setpoint", "point"), setpoint.point, setpoint.function)
        if setpoint.readback is not None:
            yield from self.readable(("setpoint", "readback"), setpoint.readback)
        if setpoint.max_a < setpoint.min_a:
            yield self.say(
                ("setpoint", "max_a"), "out_of_range", "max_a is below min_a", "exchange them"
            )
        if not self.can_write(setpoint.point):
            return
        point = self.profile.point(setpoint.point)
        yield from self._pause(point)
        if point.unit == "W":
            if setpoint.pause_w is not None:
                yield from self.fits(("setpoint", "pause_w"), point, setpoint.pause_w)
            return
        for key, value in (
            ("min_a", setpoint.min_a),
            ("max_a", setpoint.max_a),
            ("pause_a", setpoint.pause_a),
        ):
            yield from self.fits(("setpoint", key), point, value)
        steps = setpoint.step_a / abs(point.scale) if point.scale else 0.0
        if abs(steps - round(steps)) > _STEP_TOLERANCE:
            yield self.say(
                ("setpoint", "step_a"),
                "bad_value",
                f"{setpoint.step_a:g} A is no whole number of the register's {point.scale:g} A",
                "write a multiple of it, or 0",
            )

    def _pause(self, point: Point) -> Iterator[Finding]:
        """The pause is told in the unit of the register."""
        ours, other = ("pause_w", "pause_a") if point.unit == "W" else ("pause_a", "pause_w")
        if point.unit not in {"A", "W"}:
            yield self.say(
                ("points", point.name),
                "wrong_unit",
                f"a limit is told in A or in W, not in {point.unit or 'nothing'}",
                "write `unit: A` or `unit: W` and the scale that makes it so",
            )
        elif not self.given(("setpoint",), ours):
            yield self.say(
                ("setpoint",),
                "missing",
                f"is missing: {ours}, what is written for a pause",
                f"write {ours}: the point {point.name} is in {point.unit}",
            )
        if self.given(("setpoint",), other):
            yield self.say(
                ("setpoint", other),
                "bad_value",
                f"{other} is for a limit in the other unit",
                f"write {ours}",
            )

    def _mains(self, charger: ChargerPart) -> Iterator[Finding]:
        mains = charger.mains
        if mains is None:
            if charger.told_in_watts:
                yield self.say(
                    ("setpoint", "point"),
                    "missing",
                    "a limit in W, and nothing says how watts become amperes",
                    "add `mains: {power_factor: ...}`",
                )
            return
        if mains.power is None:
            return
        where: Where = ("mains", "power")
        yield from self.readable(where, mains.power)
        if not self.can_read(mains.power):
            return
        point = self.profile.point(mains.power)
        if point.unit != "W" or point.poll is not PollClass.FAST:
            yield self.say(
                where,
                "bad_value",
                f"{mains.power} is not in W and polled fast",
                "write `unit: W, poll: fast` at the point",
            )
        if any(self.profile.has(name) for name in CURRENTS):
            yield self.say(
                where,
                "bad_value",
                "the charger measures its currents, and the power stands for them",
                "remove power, or the points of the currents",
            )

    def _failsafe(self, failsafe: Failsafe) -> Iterator[Finding]:
        fields: tuple[tuple[str, str, str, tuple[tuple[str, float], ...]], ...] = (
            (
                "current",
                failsafe.current_write,
                failsafe.current_read,
                (
                    ("min_a", failsafe.min_a),
                    ("max_a", failsafe.max_a),
                    ("default_a", failsafe.default_a),
                ),
            ),
            (
                "timeout",
                failsafe.timeout_write,
                failsafe.timeout_read,
                (
                    ("min_s", failsafe.min_timeout_s),
                    ("max_s", failsafe.max_timeout_s),
                    ("default_s", failsafe.default_timeout_s),
                ),
            ),
        )
        for key, write, read, values in fields:
            yield from self.writable(("failsafe", key, "write"), write, failsafe.function)
            yield from self.readable(("failsafe", key, "read"), read)
            if self.can_write(write):
                for name, value in values:
                    yield from self.fits(("failsafe", key, name), self.profile.point(write), value)
        if not failsafe_allowed(failsafe, failsafe.default_a):
            yield self.say(
                ("failsafe", "current", "default_a"),
                "out_of_range",
                f"{failsafe.default_a:g} A is outside what the block takes",
                "write a value that it takes",
            )
        if not failsafe.min_timeout_s <= failsafe.default_timeout_s <= failsafe.max_timeout_s:
            yield self.say(
                ("failsafe", "timeout", "default_s"),
                "out_of_range",
                f"{failsafe.default_timeout_s:g} s is outside what the block takes",
                "write a value that it takes",
            )
        if sorted(failsafe.order) != sorted((failsafe.current_write, failsafe.timeout_write)):
            yield self.say(
                ("failsafe", "order"),
                "bad_value",
                "order does not name both written points once",
                f"write [{failsafe.current_write}, {failsafe.timeout_write}] in the device's order",
            )
        for position, write_first in enumerate(failsafe.before):
            yield from self.write_value(
                ("failsafe", "before", position), write_first, failsafe.function
            )

    def _feeding(self, feeding: Feeding, *, has_failsafe: bool) -> Iterator[Finding]:
        where: Where = ("keepalive",)
        if has_failsafe != (feeding.kind is not KeepAlive.NONE):
            yield self.say(
                (*where, "kind"),
                "bad_value",
                "a failsafe block and a keepalive belong together",
                "say what rearms the watchdog, or `none` in both places",
            )
        if (feeding.kind in _WRITTEN) != (feeding.write is not None):
            yield self.say(
                where,
                "bad_value",
                "write belongs to token and life_bit, and they need it",
                "add or remove `write: {point, value}`",
            )
        if (feeding.kind is KeepAlive.MIRROR) != (feeding.mirror is not None):
            yield self.say(
                where,
                "bad_value",
                "mirror belongs to the kind mirror, which needs it",
                "add or remove `mirror: {read, write, low, high, toggles_s}`",
            )
        if feeding.write is not None:
            yield from self.write_value((*where, "write"), feeding.write, feeding.function)
        if feeding.mirror is not None:
            yield from self._mirror((*where, "mirror"), feeding.mirror, feeding.function)

    def _mirror(self, where: Where, mirror: Mirror, function: int) -> Iterator[Finding]:
        yield from self.readable((*where, "read"), mirror.read)
        if self.can_read(mirror.read) and self.profile.point(mirror.read).words_of:
            yield self.say(
                (*where, "read"), "bad_value", "a bit to be copied has no codes", "remove them"
            )
        yield from self.writable((*where, "write"), mirror.write, function)
        if self.can_write(mirror.write):
            for key, value in (("low", mirror.low), ("high", mirror.high)):
                yield from self.fits((*where, key), self.profile.point(mirror.write), value)
