"""Janitza UMG 96RM and Carlo Gavazzi EM24 E1: words worked out by hand from the address lists."""

from edgectl.model.modbus import Function
from edgectl.simulator.device.simulated_meters import Em24E1, Measured, Umg96rm
from edgectl.simulator.memory.line import ExceptionCode

HOLDING, INPUT, SINGLE = Function.READ_HOLDING, Function.READ_INPUT, Function.WRITE_SINGLE
MEASURED = Measured(
    voltage_v=(230.0, 229.0, 231.0),
    current_a=(1.0, 100.0, 0.5),
    power_w=(230.0, -22900.0, 115.5),
    import_wh=1_000_000.0,
    export_wh=100.0,
)


def test_golden_words_of_the_umg() -> None:
    meter = Umg96rm()
    meter.sample(MEASURED)
    # IEEE 754: 230.0 = 0x43660000, 1.0 = 0x3F800000, 100.0 = 0x42C80000, -22900.0 = 0xC6B2E800
    assert meter.read(HOLDING, 19000, 2, 0.0) == (0x4366, 0x0000)
    assert meter.read(HOLDING, 19012, 4, 0.0) == (0x3F80, 0x0000, 0x42C8, 0x0000)
    assert meter.read(HOLDING, 19022, 2, 0.0) == (0xC6B2, 0xE800)
    # 1000000.0 = 0x49742400, 100.0 = 0x42C80000, 50.0 = 0x42480000
    assert meter.read(HOLDING, 19068, 2, 0.0) == (0x4974, 0x2400)
    assert meter.read(HOLDING, 19076, 2, 0.0) == (0x42C8, 0x0000)
    assert meter.read(HOLDING, 19050, 2, 0.0) == (0x4248, 0x0000)


def test_the_umg_block_reads_whole_by_both_functions_and_not_beyond() -> None:
    meter = Umg96rm()
    meter.sample(MEASURED)
    block = meter.read(HOLDING, 19000, 122, 0.0)
    assert isinstance(block, tuple)
    assert len(block) == 122
    assert meter.read(INPUT, 19000, 122, 0.0) == block
    assert meter.read(HOLDING, 19000, 123, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert meter.read(HOLDING, 18999, 2, 0.0) is ExceptionCode.ILLEGAL_ADDRESS
    assert meter.write(SINGLE, 19000, (1,), 0.0) is ExceptionCode.ILLEGAL_ADDRESS


def test_golden_words_of_the_em24_low_word_first() -> None:
    meter = Em24E1()
    meter.sample(MEASURED)
    # 2300 = 0x08FC; 100000 mA = 0x000186A0; -229000 = 0xFFFC8178; 1000.0 kWh = 10000 = 0x2710
    assert meter.read(HOLDING, 0x00, 2, 0.0) == (0x08FC, 0x0000)
    assert meter.read(HOLDING, 0x0E, 2, 0.0) == (0x86A0, 0x0001)
    assert meter.read(HOLDING, 0x14, 2, 0.0) == (0x8178, 0xFFFC)
    assert meter.read(HOLDING, 0x34, 2, 0.0) == (0x2710, 0x0000)
    assert meter.read(HOLDING, 0x33, 1, 0.0) == (500,)
    # -22554.5 W in all = -225545 = 0xFFFC8EF7
    assert meter.read(HOLDING, 0x28, 2, 0.0) == (0x8EF7, 0xFFFC)


def test_the_model_code_is_measuring_data_inside_a_block() -> None:
    meter = Em24E1()
    meter.sample(MEASURED)
    assert meter.read(HOLDING, 0x0B, 1, 0.0) == (1650,)
    block = meter.read(HOLDING, 0x0A, 2, 0.0)
    assert isinstance(block, tuple)
    assert block[1] == 0


def test_another_application_gives_other_values_until_it_is_set() -> None:
    meter = Em24E1(application=0)
    meter.sample(MEASURED)
    assert meter.read(HOLDING, 0xA000, 1, 0.0) == (0,)
    assert meter.read(HOLDING, 0x0E, 2, 0.0) == (0, 0)
    assert meter.write(SINGLE, 0xA000, (7,), 0.0) is None
    assert meter.read(HOLDING, 0x0E, 2, 0.0) == (0x86A0, 0x0001)


def test_a_locked_selector_takes_the_write_without_effect() -> None:
    meter = Em24E1(application=0, selector_locked=True)
    assert meter.read(HOLDING, 0xA100, 1, 0.0) == (3,)
    assert meter.write(SINGLE, 0xA000, (7,), 0.0) is None
    assert meter.read(HOLDING, 0xA000, 1, 0.0) == (0,)
