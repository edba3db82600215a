"""The newest events, as the technician asks for them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edgectl.contract.messages import Event
from edgectl.contract.vocabulary import EventCode, Severity
from edgectl.daemon.chronicle import KEPT, TOLD_AT_ONCE, Chronicle
from edgectl.errors import Refused
from edgectl.model.record import TickRecord
from tests.api.world import ALARM, FixedClock, record


def look(chronicle: Chronicle, **query: str) -> dict[str, Any]:
    answer: Any = asyncio.run(chronicle.look([], query))
    assert isinstance(answer, dict)
    return answer


def event(number: int, id_: str = "bay01") -> Event:
    return Event(
        code=EventCode.EVSE_STATE,
        severity=Severity.INFO,
        id=id_,
        t="2027-01-15T08:00:00.000Z",
        text=f"event {number}",
    )


def later(by_s: float, **changes: Any) -> TickRecord:
    made = record(**changes)
    return replace(made, now=replace(made.now, mono_s=made.now.mono_s + by_s))


def test_it_tells_what_ticks_bring_and_what_is_wrong_beside_them() -> None:
    alarms = [ALARM]
    chronicle = Chronicle(FixedClock(), alarms=lambda: tuple(alarms))
    chronicle.observe(record())
    alarms.clear()
    chronicle.observe(later(1.0))
    chronicle.observe(later(30.0))
    answer = look(chronicle)
    codes = [one["code"] for one in answer["events"]]
    assert codes == ["alarm_raised", "alarm_cleared"]
    assert [one["number"] for one in answer["events"]] == [1, 2]
    assert (answer["last"], answer["missed"]) == (2, 0)


def test_it_goes_on_after_a_number_and_chooses_by_id() -> None:
    chronicle = Chronicle(FixedClock())
    for number in range(6):
        chronicle.tell(event(number, "bay01" if number % 2 else "bay02"))
    assert [one["number"] for one in look(chronicle, after="4")["events"]] == [5, 6]
    assert [one["number"] for one in look(chronicle, id="bay01")["events"]] == [2, 4, 6]
    assert [one["number"] for one in look(chronicle, limit="2")["events"]] == [5, 6]
    assert look(chronicle, after="6")["events"] == []


def test_s23_it_is_bounded_and_says_what_is_missing() -> None:
    chronicle = Chronicle(FixedClock())
    for number in range(KEPT + 50):
        chronicle.tell(event(number))
    answer = look(chronicle, after="10")
    assert answer["missed"] == 40
    assert len(answer["events"]) == TOLD_AT_ONCE
    assert answer["events"][-1]["number"] == answer["last"] == KEPT + 50


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "", "9" * 30])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="whole number"):
        look(Chronicle(FixedClock()), after=text)
