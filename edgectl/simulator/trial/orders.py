"""What the region sends in a trial: commands and events, valid and hostile, at drawn times.

Times in a message are those of the sender's clock at the moment of sending; the gateway's own may
have jumped.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from edgectl.model.site import Site

PROGRAM: Final = "prog"


class OrderKind(StrEnum):
    """`HOSTILE` is nothing that may ever be accepted."""

    LIMIT = "limit"
    PAUSE = "pause"
    RESUME = "resume"
    TARGET = "target"
    RELEASE = "release"
    AGAIN = "again"
    EVENT = "event"
    EVENT_DELETED = "event_deleted"
    HOSTILE = "hostile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message. `id`: of the command or event; `fields`: what is particular to it.

    `duration_s`: how long its effect lasts (None: until it is ended). `from_s`: an event's start
    after it was sent. `about`: the order that a release, a repetition or a deletion is about.
    """

    at_s: float
    kind: OrderKind
    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    duration_s: float | None = None
    from_s: float = 0.0
    about: str = ""
    hostile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """As it goes to the broker; `name` is the topic below the site's prefix."""

    name: str
    payload: bytes
    retain: bool = False


def draw_orders(
    rng: random.Random, site: Site, *, from_s: float, until_s: float, count: int
) -> tuple[Order, ...]:
    """Draw `count` orders in their order of time."""
    times_s = sorted(round(rng.uniform(from_s, until_s), 3) for _ in range(count))
    orders: list[Order] = []
    for number, at_s in enumerate(times_s):
        orders.append(_draw(rng, site, orders, f"o{number}", at_s))
    return tuple(orders)


def message(order: Order, sent: dict[str, Message], *, utc_s: float) -> Message | None:
    """Write an order down; None where what it is about was not sent."""
    if order.kind is OrderKind.AGAIN:
        return sent.get(order.about)
    if order.kind is OrderKind.EVENT:
        payload = json.dumps(_event(order, utc_s)).encode()
        return Message(name=f"dr/event/{order.id}", payload=payload, retain=True)
    if order.kind is OrderKind.EVENT_DELETED:
        return Message(name=f"dr/event/{order.about}", payload=b"", retain=True)
    if order.kind is OrderKind.HOSTILE:
        return _hostile(order, utc_s)
    return Message(name=f"command/{order.kind.value}", payload=_command(order, utc_s))


def _draw(rng: random.Random, site: Site, before: Sequence[Order], name: str, at_s: float) -> Order:
    evse = rng.choice(site.evses).id
    ended = [o for o in before if o.kind in {OrderKind.LIMIT, OrderKind.PAUSE}]
    events = [o for o in before if o.kind is OrderKind.EVENT]
    kind = rng.choice(
        [
            *[OrderKind.LIMIT] * 4,
            *[OrderKind.PAUSE] * 2,
            *[OrderKind.EVENT] * 4,
            *[OrderKind.HOSTILE] * 5,
            OrderKind.RESUME,
            OrderKind.TARGET,
            *([OrderKind.RELEASE, OrderKind.AGAIN] if ended else []),
            *([OrderKind.EVENT_DELETED] if events else []),
        ]
    )
    duration_s = float(rng.randint(30, 400))
    match kind:
        case OrderKind.LIMIT:
            return Order(
                at_s=at_s, kind=kind, id=name, duration_s=duration_s, fields=_limit(rng, site)
            )
        case OrderKind.PAUSE:
            forever = rng.random() < 0.2
            return Order(
                at_s=at_s,
                kind=kind,
                id=name,
                duration_s=None if forever else duration_s,
                fields={"evse": evse},
            )
        case OrderKind.TARGET:
            fields = {"evse": evse, "energy_wh": 20_000.0}
            return Order(at_s=at_s, kind=kind, id=name, duration_s=3600.0, fields=fields)
        case OrderKind.RELEASE | OrderKind.AGAIN:
            return Order(at_s=at_s, kind=kind, id=name, about=rng.choice(ended).id)
        case OrderKind.EVENT_DELETED:
            return Order(at_s=at_s, kind=kind, id=name, about=rng.choice(events).id)
        case OrderKind.EVENT:
            return Order(
                at_s=at_s,
                kind=kind,
                id=name,
                duration_s=duration_s,
                from_s=rng.choice([0.0, 0.0, float(rng.randint(5, 120))]),
                fields={"kw": rng.choice([0.0, round(rng.uniform(0.1, 0.9) * _full_kw(site), 1)])},
            )
        case OrderKind.HOSTILE:
            return Order(at_s=at_s, kind=kind, id=name, hostile=rng.choice(list(_HOSTILE)))
        case _:
            return Order(at_s=at_s, kind=kind, id=name, fields={"evse": evse})


def _limit(rng: random.Random, site: Site) -> dict[str, Any]:
    place: dict[str, Any] = (
        {"node": rng.choice(site.nodes).id}
        if rng.random() < 0.6
        else {"evse": rng.choice(site.evses).id}
    )
    if rng.random() < 0.5:
        return {**place, "limit_w": round(rng.uniform(0.0, 1000.0 * _full_kw(site)))}
    most_a = 40.0 if "evse" in place else 40.0 * len(site.evses)
    return {**place, "limit_a": [round(rng.uniform(0.0, most_a), 1)]}


def _full_kw(site: Site) -> float:
    amps = sum(evse.max_a * len(evse.phases) for evse in site.evses)
    return (amps + sum(sum(node.base_max_a) for node in site.nodes)) * site.voltage_v / 1000.0


def _head(order: Order, utc_s: float) -> dict[str, Any]:
    return {
        "command_id": order.id,
        "issuer": "region",
        "made_at": rfc3339(utc_s),
        "expires_at": rfc3339(utc_s + 600.0),
        "reason": "trial",
    }


def _command(order: Order, utc_s: float) -> bytes:
    body = {**_head(order, utc_s), **order.fields}
    if order.kind is OrderKind.TARGET:
        body["departure"] = rfc3339(utc_s + (order.duration_s or 0.0))
    elif order.kind is OrderKind.RELEASE:
        body["target_command_id"] = order.about
    elif order.duration_s is not None:
        body["duration_s"] = order.duration_s
    return json.dumps(body).encode()


def _event(order: Order, utc_s: float) -> dict[str, Any]:
    made = rfc3339(utc_s)
    return {
        "objectType": "EVENT",
        "id": order.id,
        "createdDateTime": made,
        "modificationDateTime": made,
        "programID": PROGRAM,
        "intervalPeriod": {
            "start": rfc3339(utc_s + order.from_s),
            "duration": f"PT{order.duration_s:.0f}S",
        },
        "intervals": [
            {
                "id": 0,
                "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [order.fields["kw"]]}],
            }
        ],
    }


def _hostile(order: Order, utc_s: float) -> Message:
    """Write what must be refused: it is no command, or one that nobody may give."""
    limit = {**_head(order, utc_s), "node": "n0", "limit_w": 1e9, "duration_s": 60.0}
    plain = Order(at_s=0.0, kind=OrderKind.EVENT, id=order.id, duration_s=60.0, fields={"kw": 5.0})
    body = _HOSTILE[order.hostile](limit, _event(plain, utc_s))
    name = f"dr/event/{order.id}" if order.hostile.startswith("event") else "command/limit"
    if order.hostile == "unknown verb":
        name = "command/open-sesame"
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(name=name, payload=payload, retain=order.hostile == "retained")


_Body: TypeAlias = dict[str, Any]


def _without(body: _Body, name: str) -> _Body:
    return {key: value for key, value in body.items() if key != name}


_HOSTILE: Final[dict[str, Callable[[_Body, _Body], _Body | bytes]]] = {
    "garbage": lambda _limit, _event: b"\xff\xfe{\x00",
    "empty": lambda _limit, _event: b"",
    "deep": lambda _limit, _event: b"[" * 9000,
    "huge": lambda _limit, _event: b'{"command_id": "' + b"x" * 40_000 + b'"}',
    "no id": lambda limit, _event: _without(limit, "command_id"),
    "no end": lambda limit, _event: _without(limit, "duration_s"),
    "expired": lambda limit, _event: {**limit, "expires_at": "2020-01-01T00:00:00Z"},
    "retained": lambda limit, _event: limit,
    "not a number": lambda limit, _event: json.dumps({**limit, "limit_w": float("nan")}).encode(),
    "negative": lambda limit, _event: {**limit, "limit_w": -1.0},
    "unknown node": lambda limit, _event: {**limit, "node": "n99"},
    "unknown verb": lambda limit, _event: limit,
    "wrong types": lambda limit, _event: {**limit, "node": ["n0"], "duration_s": "long"},
    "event, garbage": lambda _limit, event: {"id": event["id"], "intervals": "all"},
    "event, unknown program": lambda _limit, event: {**event, "programID": "nobody"},
    "event, backwards": lambda _limit, event: {
        **event,
        "intervalPeriod": {**event["intervalPeriod"], "duration": "-PT60S"},
    },
}


def rfc3339(utc_s: float) -> str:
    """Write a time in UTC."""
    moment = datetime.fromtimestamp(utc_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
