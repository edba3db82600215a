"""One accepted command as the desk holds it, and as it is kept on disk."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, cast

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse, CommandResult, Verb
from edgectl.contract.envelope import rfc3339
from edgectl.grid.targets import Element
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.store import Document
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId, NodeId, OptionalTriple

_PAUSE_A: Final[OptionalTriple] = (0.0, 0.0, 0.0)
_KINDS: Final = {Verb.PAUSE: "pause", Verb.ISOLATE: "isolation"}

PAUSING: Final = frozenset(_KINDS)
"""What is paused by them goes on when it is resumed or released."""


@dataclass(frozen=True, slots=True)
class HeldCommand:
    """`digest`: of its bytes. `answer`: the first one given. `expires_utc_s`: end of its validity.

    `elements`: where it still has an effect; none: it only is remembered. `until_utc_s` None: until
    somebody ends it. `trusted`: whether its times were taken from a trusted clock. `heard`: EVSEs
    of an isolation that have answered since, so that they count again (S11). `issuer`, `seq`: of
    its signature.
    """

    id: str
    verb: Verb
    digest: str
    answer: CommandResponse
    expires_utc_s: float
    rank: Rank
    actor: str
    reason: str
    from_utc_s: float
    until_utc_s: float | None = None
    elements: tuple[Element, ...] = ()
    limit_a: OptionalTriple = (None, None, None)
    limit_w: float | None = None
    trusted: bool = True
    energy_wh: float | None = None
    departure_utc_s: float | None = None
    vehicle: str | None = None
    priority: int | None = None
    heard: frozenset[EvseId] = frozenset()
    issuer: str | None = None
    seq: int | None = None

    @property
    def holder(self) -> Holder:
        """Who stands for its effect; pauses and isolations have kinds of their own."""
        return Holder(rank=self.rank, kind=_KINDS.get(self.verb, "command"), id=self.id)

    def without(self, places: tuple[Element, ...]) -> "HeldCommand":
        """The same with no effect at these places."""
        return replace(self, elements=tuple(e for e in self.elements if e not in places))

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What it asks for; a pause is 0 A on every phase, and so is an isolation."""
        if self.verb is not Verb.LIMIT and self.verb not in PAUSING:
            return ()
        return tuple(
            TimedCeiling(
                holder=self.holder,
                reason=self.reason,
                from_utc_s=self.from_utc_s,
                until_utc_s=self.until_utc_s,
                node=element.node,
                evse=element.evse,
                limit_a=_PAUSE_A if self.verb in PAUSING else self.limit_a,
                limit_w=self.limit_w,
            )
            for element in self.elements
        )

    def isolated(self) -> frozenset[EvseId]:
        """EVSEs that are locked off by its word and have not answered since."""
        if self.verb is not Verb.ISOLATE:
            return frozenset()
        return frozenset(e.evse for e in self.elements if e.evse is not None) - self.heard

    def targets(self) -> tuple[ChargeTarget, ...]:
        """What vehicles need by its word."""
        if self.energy_wh is None or self.departure_utc_s is None:
            return ()
        return tuple(
            ChargeTarget(
                evse=element.evse,
                energy_wh=self.energy_wh,
                departure_utc_s=self.departure_utc_s,
                holder=self.holder,
                vehicle=self.vehicle,
                priority=self.priority,
            )
            for element in self.elements
            if element.evse is not None
        )

    def shifted(self, by_s: float) -> "HeldCommand":
        """The same duration after the wall clock was set by `by_s`; a departure stays."""
        if self.verb is Verb.TARGET:
            return self
        until_s = self.until_utc_s
        return replace(
            self,
            from_utc_s=self.from_utc_s + by_s,
            until_utc_s=until_s + by_s if until_s is not None else None,
        )

    def after_restart(self, now: Instant) -> "HeldCommand":
        """The times as far as they can still be told: never sooner over than they should."""
        if self.until_utc_s is None or self.verb is Verb.TARGET:
            return replace(self, from_utc_s=min(self.from_utc_s, now.utc_s))
        whole_s = self.until_utc_s - self.from_utc_s
        if self.trusted and now.utc_trusted:
            until_s = min(self.until_utc_s, now.utc_s + whole_s)
            return replace(self, from_utc_s=min(self.from_utc_s, now.utc_s), until_utc_s=until_s)
        return replace(
            self,
            from_utc_s=now.utc_s,
            until_utc_s=now.utc_s + whole_s,
            trusted=now.utc_trusted,
        )

    def view(self) -> Document:
        """What people want to know of it."""
        view: Document = {
            "command_id": self.id,
            "verb": self.verb.value,
            "rank": self.rank.name.lower(),
            "actor": self.actor,
            "reason": self.reason,
            "at": [str(element) for element in self.elements],
            "since": rfc3339(max(0.0, self.from_utc_s)),
        }
        if self.until_utc_s is not None:
            view["until"] = rfc3339(self.until_utc_s)
        if self.limit_w is not None:
            view["limit_w"] = self.limit_w
        if any(value is not None for value in self.limit_a):
            view["limit_a"] = list(self.limit_a)
        if self.energy_wh is not None:
            view["energy_wh"] = self.energy_wh
        return view

    def to_doc(self) -> Document:
        """Everything of it."""
        return {
            "verb": self.verb.value,
            "digest": self.digest,
            "answer": self.answer.model_dump(mode="json", exclude_none=True),
            "expires": self.expires_utc_s,
            "rank": int(self.rank),
            "actor": self.actor,
            "reason": self.reason,
            "from": self.from_utc_s,
            "until": self.until_utc_s,
            "elements": [[element.node, element.evse] for element in self.elements],
            "limit_a": list(self.limit_a),
            "limit_w": self.limit_w,
            "trusted": self.trusted,
            "energy_wh": self.energy_wh,
            "departure": self.departure_utc_s,
            "vehicle": self.vehicle,
            "priority": self.priority,
            "heard": sorted(self.heard),
            "issuer": self.issuer,
            "seq": self.seq,
        }


def from_doc(key: str, doc: Document) -> HeldCommand:
    """Read a kept command; raises KeyError, TypeError or ValueError on a broken document."""
    first, second, third = (_optional(amps) for amps in cast("list[object]", doc["limit_a"]))
    return HeldCommand(
        id=key,
        verb=Verb(str(doc["verb"])),
        digest=str(doc["digest"]),
        answer=CommandResponse.model_validate(doc["answer"]),
        expires_utc_s=_number(doc["expires"]),
        rank=Rank(cast("int", doc["rank"])),
        actor=str(doc["actor"]),
        reason=str(doc["reason"]),
        from_utc_s=_number(doc["from"]),
        until_utc_s=_optional(doc["until"]),
        elements=tuple(
            Element(node=NodeId(node)) if node is not None else Element(evse=EvseId(evse or ""))
            for node, evse in cast("list[tuple[str | None, str | None]]", doc["elements"])
        ),
        limit_a=(first, second, third),
        limit_w=_optional(doc["limit_w"]),
        trusted=doc["trusted"] is True,
        energy_wh=_optional(doc["energy_wh"]),
        departure_utc_s=_optional(doc["departure"]),
        vehicle=cast("str | None", doc["vehicle"]),
        priority=cast("int | None", doc["priority"]),
        heard=frozenset(EvseId(evse) for evse in cast("list[str]", doc.get("heard", []))),
        issuer=cast("str | None", doc.get("issuer")),
        seq=cast("int | None", doc.get("seq")),
    )


def _optional(value: object) -> float | None:
    return None if value is None else _number(value)


def _number(value: object) -> float:
    """A number of the store, which a damaged disk may have made into anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def duplicate(held: HeldCommand) -> CommandResponse:
    """The first answer again, said to be that."""
    return held.answer.model_copy(update={"result": CommandResult.DUPLICATE})
