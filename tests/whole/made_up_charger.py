"""A charger of no maker, for the ways of feeding a watchdog that no simulated product has.

Its registers are typed here twice, as profile and as device: neither is made from the other.
"""

from pathlib import Path
from typing import Final

from edgectl.model.modbus import Function
from edgectl.model.site import Evse
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.device_catalog import simulated_charger
from edgectl.simulator.device.simulated_device import Charger, Words
from edgectl.simulator.memory.line import ExceptionCode

FEEDING: Final = {
    "read": "{kind: read}",
    "token": "{kind: token, write: {point: token, value: 21930}}",
    "mirror": "{kind: mirror, function: 6,"
    " mirror: {read: heartbeat, write: control, low: 16387, high: 49155, toggles_s: 1.0}}",
}
"""After ABB Terra AC, Mennekes AMTRON Compact 2.0s and Siemens SICHARGE D."""

PROFILE: Final = """\
profile: made-up-{kind}
kind: charger
title: a charger fed by {kind}
sure: C
source: made up
word_order: high
transport: {{timeout_s: 1, request_gap_s: 0, poll_s: 1, slow_poll_s: 30, reconnect_min_s: 1}}
read: {{max_registers: 20}}
points:
  current_a.1: {{kind: holding, address: 10, type: u16, scale: 0.1, unit: A, poll: fast}}
  current_a.2: {{kind: holding, address: 11, type: u16, scale: 0.1, unit: A, poll: fast}}
  current_a.3: {{kind: holding, address: 12, type: u16, scale: 0.1, unit: A, poll: fast}}
  state: {{kind: holding, address: 20, type: u16, codes: {{0: free, 1: wait, 2: run}}, poll: fast}}
  limit_a: {{kind: holding, address: 30, type: u16, unit: A, range: [0, 32], access: rw}}
  failsafe_a: {{kind: holding, address: 31, type: u16, unit: A, range: [0, 32], access: rw}}
  watchdog_s: {{kind: holding, address: 32, type: u16, unit: s, access: rw}}
  token: {{kind: holding, address: 33, type: u16, access: w}}
  heartbeat: {{kind: holding, address: 40, type: u16, mask: 32768}}
  control: {{kind: holding, address: 41, type: u16, access: w}}
identify:
  - {{point: state, one_of: [free, wait, run], why: it has three states, remedy: look}}
setpoint:
  {{point: limit_a, min_a: 6, max_a: 32, step_a: 1, pause_a: 0, function: 6, readback: limit_a}}
failsafe:
  current: {{write: failsafe_a, read: failsafe_a, min_a: 6, max_a: 32, zero: true, default_a: 6}}
  timeout: {{write: watchdog_s, read: watchdog_s, min_s: 5, max_s: 600, default_s: 60}}
  order: [failsafe_a, watchdog_s]
  function: 6
keepalive: {feeding}
boot_a: unknown
states:
  - {{when: {{state: free}}, is: absent}}
  - {{when: {{state: wait}}, is: asking}}
  - {{when: {{state: run}}, is: charging}}
caveats: []
"""

_STATES: Final = {"A1": 0, "B1": 1, "B2": 1, "C2": 2}
_TOGGLES_S: Final = 1.0
_DELIVERED_FAILSAFE_A: Final = 16
_DELIVERED_TIMEOUT_S: Final = 60
_TOKEN: Final = 0x55AA
_HEARTBEAT: Final = 0x8000


class MadeUpCharger:
    """One connector; `kind` is what rearms its watchdog, and nothing else does.

    A copied bit rearms it when the copy changes to what the bit is at that moment.
    """

    refresh_s = 1.0

    def __init__(self, kind: str, point: ChargePoint, *, boot_a: float) -> None:
        self.points: tuple[ChargePoint, ...] = (point,)
        self._kind = kind
        self._point = point
        self._boot_a = int(boot_a)
        self._amps = (0.0, 0.0, 0.0)
        self.reboot(0.0)

    def step(self, now_s: float) -> None:
        failed = now_s - self._fed_s > self._timeout_s
        self._point.limit_a = float(self._failsafe_a if failed else self._limit_a)

    def sample(self) -> None:
        self._amps = self._point.currents_a

    def reboot(self, now_s: float) -> None:
        self._point.power_loss(now_s=now_s)
        self._limit_a = self._boot_a
        self._failsafe_a = _DELIVERED_FAILSAFE_A
        self._timeout_s = _DELIVERED_TIMEOUT_S
        self._copy = 0
        self._fed_s = now_s
        self.step(now_s)

    def read(
        self, function: Function, address: int, count: int, now_s: float
    ) -> Words | ExceptionCode:
        if function is not Function.READ_HOLDING:
            return ExceptionCode.ILLEGAL_FUNCTION
        known = {
            **{10 + k: round(10 * amps) for k, amps in enumerate(self._amps)},
            20: _STATES[self._point.iec_state],
            30: self._limit_a,
            31: self._failsafe_a,
            32: self._timeout_s,
            40: self._heartbeat(now_s) | 0x0003,
        }
        if any(address + k not in known for k in range(count)):
            return ExceptionCode.ILLEGAL_ADDRESS
        if self._kind == "read":
            self._fed_s = now_s
        return tuple(known[address + k] for k in range(count))

    def write(
        self, function: Function, address: int, words: Words, now_s: float
    ) -> ExceptionCode | None:
        if function is not Function.WRITE_SINGLE:
            return ExceptionCode.ILLEGAL_FUNCTION
        (word,) = words
        if address == 30:
            self._limit_a = word
        elif address == 31:
            self._failsafe_a = word
        elif address == 32:
            self._timeout_s = word
        elif address == 33:
            if self._kind == "token" and word == _TOKEN:
                self._fed_s = now_s
        elif address == 41:
            copy = word & _HEARTBEAT
            changed, self._copy = copy != self._copy, copy
            if self._kind == "mirror" and changed and copy == self._heartbeat(now_s):
                self._fed_s = now_s
        else:
            return ExceptionCode.ILLEGAL_ADDRESS
        self.step(now_s)
        return None

    def setpoint_of(self, address: int, words: Words) -> tuple[int, float] | None:
        return (1, float(words[0])) if address == 30 else None

    def setpoint_write(self, connector: int, amps: float) -> tuple[Function, int, Words]:
        assert connector == 1
        return Function.WRITE_SINGLE, 30, (int(amps),)

    def _heartbeat(self, now_s: float) -> int:
        return _HEARTBEAT if int(now_s / _TOGGLES_S) % 2 else 0


def charger_of(evse: Evse, points: tuple[ChargePoint, ...], /, *, voltage_v: float) -> Charger:
    """The device of a made-up profile, or the simulated product."""
    maker, _, kind = evse.profile.rpartition("-")
    if maker == "made-up":
        return MadeUpCharger(kind, points[0], boot_a=evse.traits.boot_a)
    return simulated_charger(evse, points, voltage_v=voltage_v)


def write_profiles(folder: Path) -> None:
    """Put a profile for every kind into a folder."""
    for kind, feeding in FEEDING.items():
        text = PROFILE.format(kind=kind, feeding=feeding)
        (folder / f"made-up-{kind}.yaml").write_text(text, encoding="utf-8")
