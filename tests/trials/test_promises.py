"""What the checkers take for promised: no more than a daemon that keeps its word would hold."""

from dataclasses import replace

import pytest

from edgectl.simulator.trial.evidence import Evidence, Heard, Sent
from edgectl.simulator.trial.orders import Order, OrderKind
from edgectl.simulator.trial.promises import promises
from tests.trials.handmade import evidence

SPLIT_S = 1.5


def with_event(*clock_s: tuple[float, float]) -> Evidence:
    """An event of 0 W from 100 to 200 s, sent and accepted at 10 s, under this wall clock."""
    event = Order(
        at_s=10.0, kind=OrderKind.EVENT, id="o0", from_s=90.0, duration_s=100.0, fields={"kw": 0.0}
    )
    return replace(
        evidence(asked=[(0.0, 10.0)], drawn=[(0.0, 10.0)]),
        sent=[Sent(at_s=10.0, order=event, heard=True)],
        heard=[Heard(10.5, "dr/response", {"event_id": "o0", "state": "accepted"})],
        clock_s=list(clock_s),
    )


@pytest.mark.parametrize(
    ("clock_s", "spans_s"),
    [
        pytest.param([], [(100.0, 200.0)], id="a good clock"),
        pytest.param([(50.0, -100.0)], [(200.0, 300.0)], id="a clock that is behind"),
        pytest.param(
            [(150.0, -100.0)], [(100.0, 150.0), (200.0, 300.0)], id="set back while it holds"
        ),
        pytest.param([(250.0, -100.0)], [(100.0, 200.0)], id="set back when it is over"),
        pytest.param(
            [(150.0, 500.0), (180.0, -500.0)], [(100.0, 150.0)], id="leapt over and set back"
        ),
        pytest.param(
            [(2.0, 500.0), (5.0, -500.0)], [(100.0, 200.0)], id="leapt before anybody knew of it"
        ),
    ],
)
def test_an_event_holds_by_the_wall_clock_until_it_was_over_once(
    clock_s: list[tuple[float, float]], spans_s: list[tuple[float, float]]
) -> None:
    found = [(one.from_s, one.until_s) for one in promises(with_event(*clock_s))]
    assert found == [(from_s + SPLIT_S, until_s - SPLIT_S) for from_s, until_s in spans_s]
