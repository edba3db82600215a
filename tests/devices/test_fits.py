"""Finding the profile that fits: against the simulated devices, which know no profile."""

import pytest

from edgectl.devices.fits import MOST_READS, Found, probing
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request
from edgectl.simulator.device.simulated_device import Device
from edgectl.simulator.device.simulated_meters import Em24E1, Umg96rm
from edgectl.simulator.memory.line import ExceptionCode
from edgectl.sitefile.profiles import load_profiles
from tests.devices.test_against_simulated import MEASURED, charx, keba, webasto

PROFILES = [profile for _, profile in sorted(load_profiles(None).items())]


def janitza() -> Device:
    meter = Umg96rm()
    meter.sample(MEASURED)
    return meter


def em24() -> Device:
    meter = Em24E1()
    meter.sample(MEASURED)
    return meter


def probe(device: Device | None, *, unit: int = 1) -> tuple[Found, list[Request]]:
    """Let the device answer; None keeps silent."""
    asking = probing(PROFILES, unit)
    asked: list[Request] = []
    now_s = 100.0
    try:
        request = next(asking)
        while True:
            asked.append(request)
            now_s += 1.0
            outcome: Answer | Miss
            if device is None:
                outcome = Miss(MissCause.TIMEOUT, now_s, now_s, "no answer within 1 s")
            else:
                said = device.read(request.function, request.address, request.count, now_s)
                outcome = (
                    Miss(MissCause.EXCEPTION, now_s, now_s, f"exception {said.value}", said.value)
                    if isinstance(said, ExceptionCode)
                    else Answer(said, now_s, now_s)
                )
            request = asking.send(outcome)
    except StopIteration as end:
        found: Found = end.value
        return found, asked


@pytest.mark.parametrize(
    ("make", "profile", "evidence"),
    [
        (keba, "keba-p40", "product is 4.2231e+06"),
        (charx, "phoenix-charx-sec", "controllers is 2"),
        (webasto, "webasto-next", "station is running"),
        (janitza, "janitza-umg96rm", "voltage_v.1 is 230.5"),
        (em24, "carlo-gavazzi-em24-e1", "model is 16"),
    ],
)
def test_the_profile_that_fits_is_named_first_with_evidence(
    make: object, profile: str, evidence: str
) -> None:
    found, asked = probe(make())  # type: ignore[operator]
    assert found.answers
    assert found.fits[0].profile == profile
    assert found.fits[0].against is None
    assert evidence in found.fits[0].evidence
    fitting = [fit.profile for fit in found.fits if fit.against is None]
    assert fitting == [profile], "an unlike device must not fit as well"
    assert all(fit.against for fit in found.fits[1:])
    assert len(asked) == len(set(asked)) <= MOST_READS
    assert {request.function for request in asked} <= {Function.READ_HOLDING, Function.READ_INPUT}


def test_a_silent_unit_is_left_after_two_questions() -> None:
    found, asked = probe(None)
    assert not found.answers
    assert len(asked) == 2
    assert found.fits == ()
    assert "no answer within 1 s" in found.detail


def test_a_device_that_refuses_everything_answers_and_fits_nothing() -> None:
    class Stubborn:
        def read(self, *_request: object) -> ExceptionCode:
            return ExceptionCode.ILLEGAL_ADDRESS

    found, _ = probe(Stubborn())  # type: ignore[arg-type]
    assert found.answers
    assert all(fit.against for fit in found.fits)


def test_zeros_everywhere_are_no_evidence() -> None:
    class Blank:
        def read(
            self, _function: Function, _address: int, count: int, _now_s: float
        ) -> tuple[int, ...]:
            return (0,) * count

    found, _ = probe(Blank())  # type: ignore[arg-type]
    assert found.answers
    assert [fit.profile for fit in found.fits if fit.against is None] == []
