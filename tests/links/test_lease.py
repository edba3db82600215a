"""S16, F1: what feeds a charger's watchdog ends with the tick."""

import pytest

from edgectl.daemon.lines.lease import Lease
from edgectl.model.modbus import Request
from edgectl.model.site import KeepAlive, Mode
from tests.links.toys import CURRENT, SETPOINT, TOKEN, Depot, charger_profile, play

LOST_S = 20.0
QUIET_S = LOST_S + 3.5


def test_a_lease_holds_3_s() -> None:
    lease = Lease()
    assert not lease.held(0.0)
    lease.renew(10.0)
    assert lease.held(13.0)
    assert not lease.held(13.01)
    lease.renew(14.0)
    assert lease.held(15.0)
    lease.revoke()
    assert not lease.held(15.0)


def lose_the_lease(keepalive: KeepAlive, *, certain: bool = True) -> Depot:
    async def script(depot: Depot) -> None:
        await depot.until(LOST_S)
        depot.leased = False
        await depot.until(LOST_S + 60.0)
        depot.leased = True
        await depot.until(LOST_S + 70.0)

    profile = charger_profile(keepalive, certain=certain)
    return play(script, chargers=[1], meters=[2], profile=profile)


def heard_without_lease(depot: Depot) -> list[Request]:
    return [heard.request for heard in depot.station.of(1) if QUIET_S < heard.at_s < LOST_S + 60.0]


@pytest.mark.parametrize(
    ("keepalive", "certain"),
    [
        (KeepAlive.ANY_ACCESS, True),
        (KeepAlive.READ, True),
        (KeepAlive.REWRITE, True),
        (KeepAlive.REWRITE, False),
        (KeepAlive.TOKEN, False),
    ],
)
def test_s16_f1_without_the_lease_nothing_goes_to_a_charger_that_it_would_feed(
    keepalive: KeepAlive, *, certain: bool
) -> None:
    depot = lose_the_lease(keepalive, certain=certain)
    assert heard_without_lease(depot) == []
    assert depot.station.of(1, since_s=LOST_S + 60.0), "it goes on with the lease"
    assert len(depot.station.reads(2, CURRENT, since_s=LOST_S)) == 70, "the meter is read on"


def test_s16_without_the_lease_a_token_is_not_written_and_reads_go_on() -> None:
    depot = lose_the_lease(KeepAlive.TOKEN)
    said = heard_without_lease(depot)
    assert said
    assert all(not request.words for request in said)
    assert depot.station.writes(1, TOKEN)[-1][0] >= LOST_S + 60.0


def test_without_the_lease_a_decrease_goes_out_where_it_feeds_nothing_and_no_increase() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints |= {"e1": 10.0, "e2": 10.0}
        await depot.until(LOST_S)
        depot.leased = False
        await depot.until(QUIET_S)
        depot.setpoints |= {"e1": 16.0, "e2": 8.0}
        await depot.until(LOST_S + 20.0)
        assert depot.station.setpoint_a(1) == 10.0
        assert depot.station.setpoint_a(2) == 8.0
        depot.leased = True
        await depot.until(LOST_S + 30.0)
        assert depot.station.setpoint_a(1) == 16.0

    play(script, chargers=[1, 2], profile=charger_profile(KeepAlive.NONE))


def test_s16_a_call_needs_the_lease_too() -> None:
    async def script(depot: Depot) -> None:
        depot.leased = False
        await depot.until(60.0)
        assert depot.station.of(1) == []
        depot.leased = True
        await depot.until(63.0)
        assert depot.station.writes(1)

    play(script, chargers=[1])


def test_a_turn_broken_off_by_the_lease_does_not_go_on_with_an_old_value() -> None:
    async def script(depot: Depot) -> None:
        depot.setpoints["e1"] = 6.0
        await depot.until(0.2)
        # The first write waits for the pause after the identity read when the lease ends.
        assert len(depot.station.of(1)) == 1
        depot.lease.revoke()
        depot.leased = False
        await depot.until(30.0)
        assert len(depot.station.of(1)) == 1
        depot.setpoints["e1"] = 0.0
        depot.leased = True
        await depot.until(45.0)
        assert depot.station.writes(1)[0][1] == 0

    play(script, chargers=[1], profile=charger_profile(request_gap_s=0.5))


def test_s16_holds_in_observe_mode() -> None:
    async def script(depot: Depot) -> None:
        await depot.until(LOST_S)
        depot.leased = False
        await depot.until(60.0)

    profile = charger_profile(KeepAlive.ANY_ACCESS)
    depot = play(script, chargers=[1], profile=profile, mode=Mode.OBSERVE)
    assert depot.station.of(1)
    assert depot.station.of(1, since_s=QUIET_S) == []
    assert depot.station.writes(1, SETPOINT) == []
