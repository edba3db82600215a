"""The turn of a unit with several silent EVSEs, asked and answered by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgectl.daemon.lines.charger_turn import SIBLING_TIMEOUT_S, Ask, Turn, call_turn
from edgectl.devices.codec import Value
from edgectl.devices.reads import Check
from edgectl.devices.writes import ArmStep, WriteStep
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request


@dataclass
class Box:
    """An EVSE that notes what the turn tells it; nothing is checked or armed."""

    name: str
    address: int
    shares_watchdog: bool = True
    timeout_s: float = 1.0
    told: list[str] = field(default_factory=list)

    def checks(self) -> Sequence[Check]:
        return ()

    def judge(self, _check: Check, _outcome: Answer | Miss) -> bool:
        raise AssertionError

    def must_be_checked_first(self) -> bool:
        return False

    def call_write(self) -> WriteStep:
        request = Request(unit=1, function=Function.WRITE_SINGLE, address=self.address, words=(60,))
        return WriteStep(request=request, value_a=6.0, command=6.0, readback=None)

    def enter_sent(self, _step: WriteStep, _sent_s: float) -> None:
        self.told.append("sent")

    def enter_fed(self, _sent_s: float) -> None:
        self.told.append("fed")

    def fed_by(self, _request: Request) -> bool:
        return self.shares_watchdog

    def wrote(self, _step: WriteStep, outcome: Answer | Miss) -> None:
        self.told.append("answer" if isinstance(outcome, Answer) else outcome.cause.value)

    def arming(self) -> Sequence[ArmStep]:
        return ()

    def armed(self, _values: dict[str, Value], _answer: Answer) -> None:
        raise AssertionError

    def armed_whole(self) -> None:
        self.told.append("armed")

    def not_armed(self, _step: ArmStep, _why: str, _now_s: float) -> None:
        raise AssertionError

    def verified(self, _outcome: Answer | Miss) -> None:
        raise AssertionError

    def answers_again(self, _answer: Answer) -> None:
        self.told.append("back")


def miss(cause: MissCause) -> Miss:
    return Miss(cause=cause, sent_s=1.0, received_s=2.0, detail="")


def drive(turn: Turn, *outcomes: Answer | Miss) -> list[Ask]:
    asked = [next(turn)]
    asked[0].enter and asked[0].enter(0.0)
    for outcome in outcomes:
        try:
            ask = turn.send(outcome)
        except StopIteration:
            break
        if ask.enter is not None:
            ask.enter(0.0)
        asked.append(ask)
    return asked


GOOD = Answer(words=(), sent_s=1.0, received_s=1.1)


def test_siblings_of_a_silent_unit_are_all_written_to_in_the_same_turn() -> None:
    one, two, three = Box("1", 1), Box("2", 2), Box("3", 3)
    asked = drive(call_turn([one, two, three]), *[miss(MissCause.TIMEOUT)] * 3)
    assert [ask.request.address for ask in asked] == [1, 2, 3]
    assert [ask.timeout_s for ask in asked] == [1.0, SIBLING_TIMEOUT_S, SIBLING_TIMEOUT_S]
    assert all(ask.call for ask in asked)
    assert one.told == two.told == three.told == ["sent", "timeout"]


def test_siblings_with_watchdogs_of_their_own_cost_no_further_timeout() -> None:
    boxes = [Box(str(n), n, shares_watchdog=False) for n in (1, 2, 3)]
    asked = drive(call_turn(boxes), miss(MissCause.TIMEOUT))
    assert len(asked) == 1
    assert boxes[1].told == boxes[2].told == []


def test_siblings_that_could_not_be_written_to_any_more_count_as_fed() -> None:
    boxes = [Box("1", 1), Box("2", 2), Box("3", 3, shares_watchdog=False)]
    drive(call_turn(boxes), miss(MissCause.DISCONNECTED))
    assert boxes[0].told == ["sent", "disconnected"]
    assert boxes[1].told == ["fed"]
    assert boxes[2].told == []


def test_one_that_answers_comes_back_while_another_refuses() -> None:
    one, two = Box("1", 1), Box("2", 2)
    refusal = Miss(
        cause=MissCause.EXCEPTION, sent_s=1.0, received_s=1.1, detail="", exception_code=2
    )
    drive(call_turn([one, two]), refusal, GOOD)
    assert one.told == ["sent", "exception"]
    assert two.told == ["sent", "answer", "armed", "back"]
