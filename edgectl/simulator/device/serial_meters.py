"""Eastron SDM630 and ABB B23, meters on RS-485, after the vendors' address lists."""

from edgectl.model.modbus import Function
from edgectl.simulator.device.registers import ascii_words, float_high_first, high_first, place
from edgectl.simulator.device.simulated_meters import Measured, SampledMeter
from edgectl.simulator.memory.line import ExceptionCode


class Sdm630(SampledMeter):
    """An SDM630: single floats in input registers, high word first, whole values, 80 at most."""

    refresh_s = 0.3
    functions = frozenset({Function.READ_INPUT})
    refusal = ExceptionCode.ILLEGAL_ADDRESS  # settings need a password

    def _has(self, address: int, count: int) -> bool:
        whole = address % 2 == 0 and count % 2 == 0
        return whole and count <= 80 and address + count <= 0x180

    def _build(self, measured: Measured) -> dict[int, int]:
        image: dict[int, int] = {}

        def put(address: int, *values: float) -> None:
            for k, value in enumerate(values):
                place(image, address + 2 * k, float_high_first(value))

        v, i, p = measured.voltage_v, measured.current_a, measured.power_w
        apparent = tuple(volts * amps for volts, amps in zip(v, i, strict=True))
        put(0x0000, *v)
        put(0x0006, *i)
        put(0x000C, *p)
        put(0x0012, *apparent)
        put(0x0034, sum(p))
        put(0x0038, sum(apparent))
        put(0x0046, 50.0)
        put(0x0048, measured.import_wh / 1000.0, measured.export_wh / 1000.0)
        put(0x0156, (measured.import_wh + measured.export_wh) / 1000.0)
        return image


class AbbB23(SampledMeter):
    """A B23: integers in holding registers, high word first; what it has not reads as all ones."""

    refresh_s = 0.5
    functions = frozenset({Function.READ_HOLDING})
    absent = 0xFFFF
    refusal = ExceptionCode.ILLEGAL_FUNCTION

    def _has(self, address: int, count: int) -> bool:
        blocks = (range(0x5000, 0x5010), range(0x5B00, 0x5B40), range(0x8900, 0x8970))
        return any(address in block and address + count - 1 in block for block in blocks)

    def _build(self, measured: Measured) -> dict[int, int]:
        image: dict[int, int] = {}

        def put(address: int, scale: float, *values: float, words: int = 2) -> None:
            for k, value in enumerate(values):
                place(image, address + words * k, high_first(round(value * scale), words=words))

        put(0x5000, 0.1, measured.import_wh, measured.export_wh, words=4)
        put(0x5B00, 10.0, *measured.voltage_v)
        put(0x5B0C, 100.0, *measured.current_a)
        put(0x5B14, 100.0, sum(measured.power_w), *measured.power_w)
        image[0x5B2C] = 5000
        place(image, 0x8900, high_first(12345678, words=2))
        place(image, 0x8908, ascii_words("B2.1.0", words=8))
        place(image, 0x8960, ascii_words("B23 112-100", words=6))
        return image
