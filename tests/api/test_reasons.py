"""Each reason has exactly one small test, named after it."""

from edgectl.clock import Instant
from edgectl.contract.reasons import duration_text, holder_text, reason_text
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import Reason, ReasonCode
from edgectl.units import NodeId

NOW = Instant(mono_s=1000.0, utc_s=1_800_000_000.0)
TX1 = NodeId("tx1")
CAP = Holder(Rank.OPERATOR, "cap", "cap-0")


def _say(reason: Reason) -> str:
    return reason_text(reason, now=NOW)


def test_own_maximum() -> None:
    text = _say(Reason(ReasonCode.OWN_MAXIMUM, limit=32.0))
    assert text == "it has its own maximum of 32.0 A; more is not possible here"


def test_node_ceiling() -> None:
    text = _say(Reason(ReasonCode.NODE_CEILING, node=TX1, row="2", holder=CAP, limit=100.0))
    assert text == "L2 of tx1 is at its ceiling of 100.0 A, set by the operator's cap cap-0"


def test_primary_ceiling() -> None:
    text = _say(Reason(ReasonCode.PRIMARY_CEILING, node=TX1, row="3", limit=40.0))
    assert text == "the primary side of L3 of tx1 is at its ceiling of 40.0 A"


def test_va_ceiling() -> None:
    text = _say(Reason(ReasonCode.VA_CEILING, node=TX1, row="va", limit=150_000.0))
    assert text == "tx1 is at its power ceiling of 150.0 kVA"


def test_unbalance() -> None:
    text = _say(Reason(ReasonCode.UNBALANCE, node=TX1, limit=20.0))
    assert text == "the phases of tx1 may differ by no more than 20.0 A"


def test_increment() -> None:
    text = _say(Reason(ReasonCode.INCREMENT, node=TX1, row="1"))
    assert text == "the charger's next step up does not fit under L1 of tx1"


def test_not_admitted() -> None:
    text = _say(Reason(ReasonCode.NOT_ADMITTED, node=TX1, row="1", holder=CAP, limit=100.0))
    assert text == (
        "there is no room for its minimum under L1 of tx1 (ceiling 100.0 A, set by the operator's "
        "cap cap-0); it waits in the queue"
    )


def test_base_over_ceiling() -> None:
    text = _say(Reason(ReasonCode.BASE_OVER_CEILING, node=TX1, row="1", limit=100.0))
    assert text == "the base load alone takes all of L1 of tx1, ceiling of 100.0 A"


def test_fixed_over_ceiling() -> None:
    text = _say(Reason(ReasonCode.FIXED_OVER_CEILING, node=TX1, row="1", limit=63.0))
    assert text.startswith("base load and chargers that count as fixed loads take all of L1 of")
    assert text.endswith("tx1, ceiling of 63.0 A")


def test_no_demand() -> None:
    assert _say(Reason(ReasonCode.NO_DEMAND)) == "the vehicle takes nothing"
    assert _say(Reason(ReasonCode.NO_DEMAND, limit=6.0)) == (
        "the vehicle takes nothing; it has its minimum of 6.0 A, and its share again when it draws"
    )
    text = _say(Reason(ReasonCode.NO_DEMAND, until_s=NOW.mono_s + 90.0))
    assert text == (
        "the vehicle takes nothing; it waits for its minimum with the others again in "
        "1 min 30 s, or when its charger begins to say that it wants power"
    )


def test_evse_ceiling() -> None:
    holder = Holder(Rank.TECHNICIAN, "command", "c-17")
    text = _say(Reason(ReasonCode.EVSE_CEILING, holder=holder, limit=10.0))
    assert text == "this EVSE is limited to 10.0 A, set by command c-17 of the technician"


def test_paused() -> None:
    holder = Holder(Rank.UTILITY_MANDATORY, "event", "ev-9")
    text = _say(Reason(ReasonCode.PAUSED, holder=holder))
    assert text == "it is paused, set by the utility's mandatory event ev-9"
    text = _say(Reason(ReasonCode.PAUSED, holder=holder, limit=4.0))
    assert (
        text == "its limit of 4.0 A is below its minimum, set by the utility's mandatory event ev-9"
    )


def test_no_vehicle() -> None:
    assert _say(Reason(ReasonCode.NO_VEHICLE)) == "no vehicle is plugged in"


def test_fault() -> None:
    text = _say(Reason(ReasonCode.FAULT))
    assert text == "the charger reports a fault; see its own display or log"


def test_silent() -> None:
    text = _say(Reason(ReasonCode.SILENT, limit=9.67))
    assert text == "the charger does not answer; it is counted as a fixed load of 9.7 A"


def test_min_off() -> None:
    text = _say(Reason(ReasonCode.MIN_OFF, until_s=NOW.mono_s + 90.0))
    assert text == "it was stopped a short while ago and must rest for another 1 min 30 s"


def test_draws_less() -> None:
    text = _say(Reason(ReasonCode.DRAWS_LESS, limit=12.0))
    assert text == (
        "its vehicle did not use what it was given; it has room of 12.0 A now and is tried with "
        "more every five minutes"
    )


def test_waits_for_room() -> None:
    text = _say(Reason(ReasonCode.WAITS_FOR_ROOM, node=TX1, row="1"))
    assert text == "more is meant for it, but the room on L1 of tx1 is not proved free yet"


def test_safe_decision() -> None:
    text = _say(Reason(ReasonCode.SAFE_DECISION))
    expected = "the safe decision is in force: the present value or the failsafe current, if lower"
    assert text == expected


def test_every_code_has_its_test() -> None:
    here = globals()
    assert [code for code in ReasonCode if f"test_{code.value}" not in here] == []


def test_every_code_is_said_without_its_numbers_too() -> None:
    for code in ReasonCode:
        text = _say(Reason(code))
        assert len(text) > 10
        assert "None" not in text


def test_holders() -> None:
    assert holder_text(Holder(Rank.SAFETY, "limit", "grid")) == "the configured limit"
    voluntary = Holder(Rank.UTILITY_VOLUNTARY, "event", "ev-1")
    assert holder_text(voluntary) == "the utility's voluntary event ev-1"
    lost = Holder(Rank.UTILITY_MANDATORY, "failsafe", "prog-1")
    assert holder_text(lost) == "the rule for a lost utility link (prog-1)"
    other = Holder(Rank.PLAN, "plan", "tonight")
    assert holder_text(other) == "plan tonight of the plan"


def test_durations() -> None:
    assert [duration_text(s) for s in (-3, 0, 59.4, 60, 90, 3600, 3660, 200_000)] == [
        "0 s",
        "0 s",
        "59 s",
        "1 min",
        "1 min 30 s",
        "1 h",
        "1 h 01 min",
        "2 d 7 h",
    ]
