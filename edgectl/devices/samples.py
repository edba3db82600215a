"""Decoded values into what the judgement looks at: on the site's phases, signed as the site says.

A poll of a device that takes several requests is one round: the caller merges the values of the
round and gives the time at which the first of its requests was sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgectl.devices import quantities as q
from edgectl.devices.codec import Bad, Value
from edgectl.devices.mains import drawn_a
from edgectl.devices.profile import Mains, Profile, StateRule
from edgectl.devices.writes import amperes_told
from edgectl.model.quick import maker
from edgectl.model.reading import POSSIBLE_A, EvseSample, MeterSample, VehicleState
from edgectl.model.site import Evse, Meter
from edgectl.units import OptionalTriple


@dataclass(frozen=True, slots=True)
class EvseFacts:
    """What a round of values says of one EVSE; None where the values do not say it.

    `sample` needs a good current on every wired phase: a maximum over the rest would be too small.
    `setpoint_a`, `failsafe_a`, `watchdog_s`: as read from the charger; a watchdog that says it is
    off has 0 s. `command` is the setpoint in its register's own unit. `counted_s`: when an energy
    was read, if one was. `bad`: every value refused.
    """

    sample: EvseSample | None = None
    vehicle: VehicleState | None = None
    setpoint_a: float | None = None
    command: float | None = None
    failsafe_a: float | None = None
    watchdog_s: float | None = None
    power_w: float | None = None
    session_wh: float | None = None
    energy_wh: float | None = None
    counted_s: float | None = None
    bad: tuple[Bad, ...] = ()


_evse_facts = maker(EvseFacts)
_meter_sample = maker(MeterSample)


def meter_sample(
    profile: Profile, meter: Meter, values: Mapping[str, Value], *, taken_s: float
) -> MeterSample | Bad:
    """Make a meter's round a sample; `Bad` if not one phase current is good."""
    current_a = _on_phases(meter.phases, values, q.CURRENTS)
    if all(value is None for value in current_a):
        named = (values.get(name) for name in q.CURRENTS)
        return next(
            (value for value in named if isinstance(value, Bad)),
            Bad(
                quantity=q.CURRENTS[0],
                address=profile.point(q.CURRENTS[0]).address,
                words=(),
                why="no phase current among the values",
            ),
        )
    bought = _number(values, q.ENERGY_IMPORT)
    sold = _number(values, q.ENERGY_EXPORT)
    return _meter_sample(
        taken_s=taken_s,
        current_a=_map(abs, current_a),
        power_w=_map(lambda watts: watts * meter.sign, _on_phases(meter.phases, values, q.POWERS)),
        voltage_v=_on_phases(meter.phases, values, q.VOLTAGES),
        energy_import_wh=bought if meter.sign > 0 else sold,
        energy_export_wh=sold if meter.sign > 0 else bought,
    )


def evse_facts(
    profile: Profile,
    evse: Evse,
    values: Mapping[str, Value],
    *,
    taken_s: float,
    mains_v: float | None = None,
) -> EvseFacts:
    """Say what the values of a round tell of an EVSE.

    `mains_v`: for chargers that are told or measured in watts.
    """
    charger = profile.charging()
    failsafe = charger.failsafe
    if charger.mains is None or charger.mains.power is None or mains_v is None:
        current_a = _map(abs, _on_phases(evse.phases, values, q.CURRENTS))
    else:
        current_a = _drawn(charger.mains, evse, _number(values, charger.mains.power), mains_v)
    command = _number(values, charger.setpoint.readback)
    power_w = _number(values, q.POWER)
    session_wh, energy_wh = _number(values, q.SESSION), _number(values, q.ENERGY_IMPORT)
    whole = all(_is_current(current_a[phase - 1]) for phase in evse.phases)
    return _evse_facts(
        sample=EvseSample(taken_s=taken_s, current_a=current_a, power_w=power_w) if whole else None,
        vehicle=vehicle_state(profile, values),
        setpoint_a=None
        if command is None
        else amperes_told(profile, evse, command, mains_v=mains_v),
        command=command,
        failsafe_a=_number(values, failsafe.current_read if failsafe else None),
        watchdog_s=_watchdog_s(values, failsafe.timeout_read if failsafe else None),
        power_w=power_w,
        session_wh=session_wh,
        energy_wh=energy_wh,
        counted_s=None if session_wh is None and energy_wh is None else taken_s,
        bad=tuple(value for value in values.values() if isinstance(value, Bad)),
    )


def _drawn(mains: Mains, evse: Evse, power_w: float | None, mains_v: float) -> OptionalTriple:
    """Spread a power evenly over the EVSE's phases, as a rectifier draws it."""
    if power_w is None:
        return (None, None, None)
    current_a = abs(drawn_a(mains, evse, power_w, mains_v=mains_v))
    return (
        current_a if 1 in evse.phases else None,
        current_a if 2 in evse.phases else None,
        current_a if 3 in evse.phases else None,
    )


def _is_current(value_a: float | None) -> bool:
    """S2: what no conductor bears is no current, and NaN is none either."""
    return value_a is not None and value_a <= POSSIBLE_A


def vehicle_state(profile: Profile, values: Mapping[str, Value]) -> VehicleState | None:
    """Apply the state rules; UNKNOWN if a point is bad or none holds, None if not all were read."""
    if profile.charger is None:
        return None
    bad = False
    for rule in profile.charger.states:
        for name, _ in rule.when:
            if name not in values:
                return None
            bad = bad or isinstance(values[name], Bad)
    if bad:
        return VehicleState.UNKNOWN
    for rule in profile.charger.states:
        if _rule_holds(rule, values):
            return rule.state
    return VehicleState.UNKNOWN


def _rule_holds(rule: StateRule, values: Mapping[str, Value]) -> bool:
    return all(values[name] in wanted for name, wanted in rule.when)


def _watchdog_s(values: Mapping[str, Value], name: str | None) -> float | None:
    value = values.get(name) if name is not None else None
    if isinstance(value, Bad) and value.absent:
        return 0.0
    return value if isinstance(value, float) else None


def _number(values: Mapping[str, Value], name: str | None) -> float | None:
    value = values.get(name) if name is not None else None
    return value if isinstance(value, float) else None


def _on_phases(
    phases: tuple[int, ...], values: Mapping[str, Value], names: tuple[str, str, str]
) -> OptionalTriple:
    """Put the terminals' values on the site's phases: terminal k+1 sits on phase `phases[k]`."""
    placed: list[float | None] = [None, None, None]
    for terminal, phase in enumerate(phases):
        placed[phase - 1] = _number(values, names[terminal])
    return (placed[0], placed[1], placed[2])


def _map(change: Callable[[float], float], triple: OptionalTriple) -> OptionalTriple:
    one, two, three = triple
    return (
        None if one is None else change(one),
        None if two is None else change(two),
        None if three is None else change(three),
    )
