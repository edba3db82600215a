"""The one word for an EVSE's state."""

import pytest

from edgectl.contract.evse_state import evse_status
from edgectl.contract.vocabulary import EvseStatus
from edgectl.model.decision import EvseDecision, Reason, ReasonCode
from edgectl.model.reading import EvseSample, VehicleState
from edgectl.model.snapshot import EvseView

NO_VEHICLE = ReasonCode.NO_VEHICLE
OWN = ReasonCode.OWN_MAXIMUM


def view(vehicle: VehicleState, *, current_a: float = 0.0, heard: bool = True) -> EvseView:
    sample = EvseSample(taken_s=1.0, current_a=(current_a, None, None))
    return EvseView(samples=(sample,), vehicle=vehicle, last_answer_s=1.0 if heard else None)


def decision(
    setpoint_a: float = 16.0, *, code: ReasonCode = OWN, silent: bool = False
) -> EvseDecision:
    return EvseDecision(
        allocation_a=setpoint_a,
        setpoint_a=setpoint_a,
        committed_a=setpoint_a,
        silent=silent,
        reason=Reason(code=code),
    )


@pytest.mark.parametrize(
    ("seen", "decided", "state"),
    [
        (view(VehicleState.ABSENT), decision(0.0, code=NO_VEHICLE), "absent"),
        (view(VehicleState.PLUGGED), decision(), "plugged"),
        (view(VehicleState.ASKING), decision(), "asking"),
        (view(VehicleState.CHARGING, current_a=15.0), decision(), "charging"),
        (view(VehicleState.CHARGING), decision(), "charging"),
        (view(VehicleState.ASKING), decision(0.0, code=ReasonCode.PAUSED), "paused"),
        (view(VehicleState.PLUGGED), decision(0.0, code=ReasonCode.NOT_ADMITTED), "paused"),
        (view(VehicleState.PLUGGED), decision(0.0, code=ReasonCode.NO_DEMAND), "plugged"),
        (view(VehicleState.FAULT), decision(0.0, code=ReasonCode.FAULT), "fault"),
        (view(VehicleState.CHARGING, current_a=9.0), decision(silent=True), "silent"),
        (view(VehicleState.ABSENT, heard=False), decision(), "silent"),
        (view(VehicleState.ABSENT), None, "absent"),
        (view(VehicleState.UNKNOWN, current_a=9.0), decision(), "charging"),
        (view(VehicleState.UNKNOWN), decision(0.0, code=NO_VEHICLE), "absent"),
        (view(VehicleState.UNKNOWN), decision(), "plugged"),
    ],
)
def test_state(seen: EvseView, decided: EvseDecision | None, state: str) -> None:
    assert evse_status(seen, decided) == EvseStatus(state)


def test_what_still_draws_is_charging_whatever_it_was_told() -> None:
    told = decision(0.0, code=ReasonCode.PAUSED)
    assert evse_status(view(VehicleState.ASKING, current_a=12.0), told) is EvseStatus.CHARGING


def test_a_charger_that_pauses_at_a_power_is_paused_there() -> None:
    told = decision(4.0, code=ReasonCode.PAUSED)
    assert evse_status(view(VehicleState.ASKING), told, pause_a=4.0) is EvseStatus.PAUSED
    assert evse_status(view(VehicleState.ASKING), told) is EvseStatus.ASKING


def test_a_charger_that_is_locked_off_is_isolated_and_nothing_else() -> None:
    assert evse_status(view(VehicleState.FAULT), None, isolated=True) is EvseStatus.ISOLATED
