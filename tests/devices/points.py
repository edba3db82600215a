"""Points and small profiles for the rules of the codec and of the batches."""

from dataclasses import replace
from typing import Any

from edgectl.devices.profile import (
    Connectors,
    Point,
    PointType,
    PollClass,
    Profile,
    ProfileKind,
    ReadRules,
    RegisterKind,
    Sure,
    Transport,
    WordOrder,
)

_PLAIN = Point(
    name="x", kind=RegisterKind.HOLDING, address=0, type=PointType.U16, count=1, poll=PollClass.FAST
)


def point(name: str, address: int, **changes: Any) -> Point:
    return replace(_PLAIN, name=name, address=address, **changes)


def profile(*points: Point, read: ReadRules | None = None, **changes: Any) -> Profile:
    plain = Profile(
        id="made-up",
        file="made-up.yaml",
        title="made up",
        kind=ProfileKind.METER,
        word_order=WordOrder.HIGH,
        transport=Transport(
            timeout_s=1.0, request_gap_s=0.0, poll_s=1.0, slow_poll_s=30.0, reconnect_min_s=1.0
        ),
        read=read or ReadRules(),
        connectors=Connectors(),
        points=points,
        identify=(),
        require=(),
        refresh_s=1.0,
        charger=None,
        caveats=(),
        sure=Sure.C,
        source="made up",
    )
    return replace(plain, **changes)
