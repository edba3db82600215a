"""Janitza UMG 96RM (block 19000) and Carlo Gavazzi EM24 E1, after the vendors' address lists."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from edgectl.model.modbus import Function
from edgectl.simulator.device.registers import ascii_words, floats_high_first, pairs_low_first
from edgectl.simulator.device.simulated_device import Words
from edgectl.simulator.memory.line import ExceptionCode

_READS: Final = frozenset({Function.READ_HOLDING, Function.READ_INPUT})
_MOST: Final = 0x7FFFFFFF
EM24_APPLICATION: Final = 0xA000
EM24_MODEL: Final = 0x000B


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a meter measures on its own terminals. Currents are magnitudes, power has the sign."""

    voltage_v: tuple[float, float, float] = (0.0, 0.0, 0.0)
    current_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    power_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    import_wh: float = 0.0
    export_wh: float = 0.0


class SampledMeter(ABC):
    """Registers that stand still between two refreshes; the image is built when somebody reads.

    `functions`: those that read. `absent`: what a register without a meaning reads as. `refusal`:
    what it answers to a write: none is taken unless its own class does.
    """

    functions: ClassVar[frozenset[Function]]
    absent: ClassVar[int] = 0
    refusal: ClassVar[ExceptionCode] = ExceptionCode.ILLEGAL_ADDRESS

    def __init__(self) -> None:
        self._measured = Measured()
        self._image: dict[int, int] | None = None

    def sample(self, measured: Measured) -> None:
        """Take new values into the registers."""
        self._measured = measured
        self._image = None

    def read(
        self,
        function: Function,
        address: int,
        count: int,
        now_s: float,  # noqa: ARG002 - a meter has no watchdog
    ) -> Words | ExceptionCode:
        """Give registers, where it has them."""
        if function not in self.functions:
            return ExceptionCode.ILLEGAL_FUNCTION
        if not self._has(address, count):
            return ExceptionCode.ILLEGAL_ADDRESS
        image = self._registers()
        return tuple(image.get(at, self.absent) for at in range(address, address + count))

    def write(
        self,
        function: Function,  # noqa: ARG002 - every write is refused
        address: int,  # noqa: ARG002
        words: Words,  # noqa: ARG002
        now_s: float,  # noqa: ARG002
    ) -> ExceptionCode | None:
        """Refuse: what is measured cannot be written."""
        return self.refusal

    def _registers(self) -> dict[int, int]:
        if self._image is None:
            self._image = self._build(self._measured)
        return self._image

    @abstractmethod
    def _has(self, address: int, count: int) -> bool:
        """Whether one request may ask for these registers."""

    @abstractmethod
    def _build(self, measured: Measured) -> dict[int, int]:
        """Make the whole image of registers from measured values."""


class Umg96rm(SampledMeter):
    """A UMG 96RM: 19000 to 19121, single floats, high word first, functions 3 and 4."""

    refresh_s = 0.2
    functions = _READS

    def _has(self, address: int, count: int) -> bool:
        return address >= 19000 and address + count <= 19122

    def _build(self, measured: Measured) -> dict[int, int]:
        floats = [0.0] * 61

        def put(address: int, *values: float) -> None:
            at = (address - 19000) // 2
            floats[at : at + len(values)] = values

        v, i, p = measured.voltage_v, measured.current_a, measured.power_w
        apparent = tuple(volts * amps for volts, amps in zip(v, i, strict=True))
        net_wh = measured.import_wh - measured.export_wh
        root_three = 3.0**0.5
        put(19000, *v)
        put(19006, *(root_three * (v[k] + v[(k + 1) % 3]) / 2.0 for k in range(3)))
        put(19012, *i)
        put(19020, *p, sum(p))
        put(19028, *apparent, sum(apparent))
        put(19044, 1.0, 1.0, 1.0, 50.0, 1.0)
        put(19054, *(net_wh / 3.0,) * 3, net_wh)
        put(19062, *(measured.import_wh / 3.0,) * 3, measured.import_wh)
        put(19070, *(measured.export_wh / 3.0,) * 3, measured.export_wh)
        return dict(enumerate(floats_high_first(floats), start=19000))


class Em24E1(SampledMeter):
    """An EM24 E1 (Ethernet): 32-bit integers, low word first, functions 3 and 4.

    0x000B read alone is the model code; inside a block it is the high half of the L3-L1 voltage.
    While the application register is not 7 ("H") the measuring registers do not hold what the map
    says.
    """

    refresh_s = 0.5
    functions = _READS

    def __init__(self, *, application: int = 7, selector_locked: bool = False) -> None:
        super().__init__()
        self._application = application
        self._selector_locked = selector_locked

    def read(
        self,
        function: Function,
        address: int,
        count: int,
        now_s: float,
    ) -> Words | ExceptionCode:
        """Give registers of the measuring block or one of the single ones."""
        single = self._single(address, count) if function in self.functions else None
        if single is not None:
            return single
        words = super().read(function, address, count, now_s)
        if self._application != 7 and not isinstance(words, ExceptionCode):
            return (0,) * count
        return words

    def write(
        self,
        function: Function,
        address: int,
        words: Words,
        now_s: float,  # noqa: ARG002 - a meter has no watchdog
    ) -> ExceptionCode | None:
        """Take the application register; with a locked selector the write has no effect."""
        if function is not Function.WRITE_SINGLE:
            return ExceptionCode.ILLEGAL_FUNCTION
        if address != EM24_APPLICATION:
            return ExceptionCode.ILLEGAL_ADDRESS
        if not self._selector_locked:
            self._application = words[0]
        return None

    def _has(self, address: int, count: int) -> bool:
        return address >= 0 and address + count <= 0x50

    def _single(self, address: int, count: int) -> Words | None:
        if (address, count) == (0x5000, 7):
            return ascii_words("BN2310010050G", words=7)
        if count != 1:
            return None
        value = {
            EM24_MODEL: 1650,
            0x0302: 0x0100,
            0x0304: 0x1083,
            0x1002: 0,
            EM24_APPLICATION: self._application,
            0xA100: 3 if self._selector_locked else 0,
        }.get(address)
        return None if value is None else (value,)

    def _build(self, measured: Measured) -> dict[int, int]:
        whole = [0] * 40

        def put(address: int, scale: float, *values: float) -> None:
            at = address // 2
            whole[at : at + len(values)] = [
                max(-_MOST, min(round(value * scale), _MOST)) for value in values
            ]

        v, i, p = measured.voltage_v, measured.current_a, measured.power_w
        apparent = tuple(volts * amps for volts, amps in zip(v, i, strict=True))
        root_three = 3.0**0.5
        put(0x00, 10.0, *v)
        put(0x06, 10.0, *(root_three * (v[k] + v[(k + 1) % 3]) / 2.0 for k in range(3)))
        put(0x0C, 1000.0, *i)
        put(0x12, 10.0, *p)
        put(0x18, 10.0, *apparent)
        put(0x28, 10.0, sum(p))
        put(0x34, 0.01, measured.import_wh)
        put(0x40, 0.01, *(measured.import_wh / 3.0,) * 3)
        put(0x4E, 0.01, measured.export_wh)
        image = dict(enumerate(pairs_low_first(whole)))
        image.update({0x2E: 1000, 0x2F: 1000, 0x30: 1000, 0x31: 1000, 0x32: 0, 0x33: 500})
        return image
