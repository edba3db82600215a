"""What chargers do when they are switched on."""

import pytest

from edgectl.simulator import virtual_time
from tests.field.yard import Bay, Place, Seen, running, stay, whole_yard, yard

LIMIT_A = 40.0


@pytest.mark.parametrize(("arrival_s", "apart_s"), [(0.0, 0.3), (60.0, 0.3), (60.0, 15.0)])
def test_f8_whoever_is_switched_on_begins_within_the_headroom(
    arrival_s: float, apart_s: float
) -> None:
    """All vehicles are there at the daemon's start, or come at once or in turn much later."""
    loaded = yard(
        Bay(id="c1"),
        Bay(id="k1", kind="keba"),
        Bay(id="w1", kind="webasto"),
        nodes=[Place(limit_a=(LIMIT_A,) * 3, base_max_a=(8.0,) * 3)],
    )
    bays = [bay.id for bay in loaded.site.evses]

    async def main() -> Seen:
        whole = whole_yard(
            loaded, *(stay(bay, from_s=arrival_s + apart_s * n) for n, bay in enumerate(bays))
        )
        async with running(whole) as seen:
            await whole.until(arrival_s + 90.0)
        return seen

    seen = virtual_time.run(main())
    assert max(max(seen.flow_a(phase=phase)) for phase in (1, 2, 3)) <= LIMIT_A
    assert sum(seen.drawn_a(bay)[-1] for bay in bays) > 25.0, "and they get what is there"
    if arrival_s > 0.0:
        for bay in bays:
            assert set(seen.limits_a(bay, from_s=40.0, until_s=arrival_s)) == {0.0}


@pytest.mark.parametrize("second", ["charx", "webasto"])
def test_f8_a_vehicle_that_has_not_begun_has_not_followed_a_decrease(second: str) -> None:
    """Two come half a second apart; no base load at all, so nothing is unforeseen."""
    loaded = yard(
        Bay(id="one"), Bay(id="two", kind=second), nodes=[Place(limit_a=(36.0, 36.0, 36.0))]
    )

    async def main() -> Seen:
        whole = whole_yard(
            loaded,
            stay("one", from_s=60.0, follow_s=4.5),
            stay("two", from_s=60.5, follow_s=4.5),
        )
        async with running(whole) as seen:
            await whole.until(100.0)
        return seen

    seen = virtual_time.run(main())
    assert max(seen.flow_a()) <= 36.0
    assert min(seen.drawn_a("one")[-1], seen.drawn_a("two")[-1]) >= 17.0
