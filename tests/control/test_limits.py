"""What is kept free below a ceiling, on every row of a node."""

from math import sqrt

import pytest

from edgectl.control.limits import margins
from edgectl.model.site import Node, Transformer
from edgectl.units import NodeId

ROWS = (100.0, None, 3.0, 30_000.0)
PRIMARY = (40.0, None, 0.5)
VOLTS = 120.0


def node(margin_a: float | None, transformer: Transformer | None = None) -> Node:
    return Node(id=NodeId("t1"), parent=None, margin_a=margin_a, transformer=transformer)


def test_a_margin_is_kept_on_each_line_and_three_times_in_the_sum_and_is_no_more_than_all() -> None:
    assert margins(node(4.0), ROWS, VOLTS) == (4.0, 0.0, 3.0, 3 * VOLTS * 4.0)


def test_a_margin_makes_so_much_less_on_the_side_that_feeds_the_transformer() -> None:
    """The same power: 3 x 120 V x 4 A is 3 x 277 V x 1.73 A."""
    fed = margins(node(4.0, Transformer(turns_ratio=4.0)), (*ROWS, *PRIMARY), VOLTS)
    assert fed[4:] == pytest.approx((4.0 * VOLTS / (4.0 * VOLTS / sqrt(3.0)), 0.0, 0.5))


def test_without_a_margin_a_share_of_each_ceiling_is_kept() -> None:
    fed = margins(node(None, Transformer(turns_ratio=4.0)), (*ROWS, *PRIMARY), VOLTS)
    assert fed == pytest.approx((2.0, 0.0, 0.06, 600.0, 0.8, 0.0, 0.01))
