"""Whether each program's utility is heard, and the limit that holds while it is not.

1. A restart does not forget that a utility was lost: its limit holds on from the first tick. Since
   when, counts only as a clock said that was trusted, then and now.
2. Heartbeats need no signature: whoever can forge one can also cut the line, and one without the
   other ends no limit before its time. A retained one says nothing about now.
"""

import math
from collections.abc import Callable
from typing import Final, cast

from edgectl.clock import Instant
from edgectl.contract import topics
from edgectl.contract.envelope import rfc3339
from edgectl.errors import StorageFailed
from edgectl.grid.link_loss import LinkWatch
from edgectl.grid.targets import roots
from edgectl.model.ceiling import Holder, Rank, TimedCeiling
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.site import Program, Site
from edgectl.model.store import Document, Store
from edgectl.units import ProgramId

_KIND: Final = "dr_link"


class UtilityLinks:
    """One watch for each program that has a rule for a lost link."""

    def __init__(self, *, site: Site, store: Store, audit: Callable[[Document], None]) -> None:
        self._site = site
        self._store = store
        self._audit = audit
        self._programs = {p.id: p for p in site.programs if p.link_loss is not None}
        self._watches: dict[ProgramId, LinkWatch] = {}
        self._since_utc_s: dict[ProgramId, float] = {}
        self._since_trusted: set[ProgramId] = set()
        self._unsaved: set[ProgramId] = set()

    async def load(self, now: Instant) -> None:
        """Take up what was lost when the last process ended."""
        kept = await self._store.load_all(_KIND)
        for name in self._programs:
            watch = LinkWatch(heard_s=now.mono_s)
            since = kept.get(name, {}).get("since")
            if isinstance(since, int | float):
                lasted_s = 0.0
                if kept[name].get("trusted") is True:
                    self._since_trusted.add(name)
                    lasted_s = max(0.0, now.utc_s - since) if now.utc_trusted else 0.0
                watch = LinkWatch(heard_s=-math.inf, lost_s=now.mono_s - lasted_s)
                self._since_utc_s[name] = float(since)
            self._watches[name] = watch

    def hear(self, name: str, *, retained: bool, now: Instant) -> None:
        """Take a message; `name` is its topic below the site's prefix."""
        program = ProgramId(name.removeprefix(topics.DR_HEARTBEAT))
        if not name.startswith(topics.DR_HEARTBEAT) or retained or program not in self._programs:
            return
        self._watches[program] = self._watch(program, now).heard(now.mono_s)

    def limited(self, program: ProgramId, now: Instant, *, in_force: bool) -> None:
        """Know that a new valid limit of a program came; one for later is no more than a word."""
        if program in self._programs:
            before = self._watch(program, now)
            if not in_force:
                self._watches[program] = before.heard(now.mono_s)
                return
            self._change(program, before, before.limited(now.mono_s), now, "a new limit came")

    def advance(self, now: Instant) -> None:
        """Let time pass. No I/O; call it before `ceilings`."""
        for name, program in self._programs.items():
            before = self._watch(name, now)
            rule = program.link_loss
            if rule is not None:
                after = before.advanced(now.mono_s, rule)
                word = f"nothing heard for {rule.after_s:g} s"
                self._change(
                    name, before, after, now, "heard again" if before.lost_s is not None else word
                )

    async def tick(self, now: Instant) -> None:
        """Let time pass, then keep what changed; a full disk is tried again."""
        self.advance(now)
        for name in list(self._unsaved):
            since = self._since_utc_s.get(name)
            try:
                if since is None:
                    await self._store.delete(_KIND, name)
                else:
                    trusted = name in self._since_trusted
                    await self._store.put(_KIND, name, {"since": since, "trusted": trusted})
            except StorageFailed:
                return
            self._unsaved.discard(name)

    def ceilings(self) -> tuple[TimedCeiling, ...]:
        """What holds because a utility is not heard."""
        return tuple(
            TimedCeiling(
                holder=Holder(rank=_rank(program), kind="failsafe", id=name),
                reason=f"program {name} is not heard",
                from_utc_s=0.0,
                until_utc_s=None,
                node=element.node,
                limit_w=program.link_loss.limit_w,
            )
            for name, program in self._programs.items()
            if program.link_loss is not None and self._lost(name)
            for element in roots(self._site)
        )

    def alarms(self) -> tuple[Alarm, ...]:
        """One for each utility that is lost."""
        return tuple(
            Alarm(
                code=AlarmCode.UTILITY_LOST,
                severity=Severity.ALARM,
                id=name,
                text=f"the utility of program {name} is not heard; its own limit holds",
                data={"limit_w": program.link_loss.limit_w},
            )
            for name, program in self._programs.items()
            if program.link_loss is not None and self._lost(name)
        )

    def view(self) -> list[Document]:
        """Every program's link, for people."""
        return [
            {"program_id": name, "lost": self._lost(name)}
            | (
                {"since": rfc3339(self._since_utc_s[name])}
                if name in self._since_utc_s
                else cast("Document", {})
            )
            for name in self._programs
        ]

    def _lost(self, name: ProgramId) -> bool:
        watch = self._watches.get(name)
        return watch is not None and watch.lost_s is not None

    def _watch(self, name: ProgramId, now: Instant) -> LinkWatch:
        return self._watches.setdefault(name, LinkWatch(heard_s=now.mono_s))

    def _change(
        self, name: ProgramId, before: LinkWatch, after: LinkWatch, now: Instant, why: str
    ) -> None:
        self._watches[name] = after
        lost = after.lost_s is not None
        if lost is (before.lost_s is not None):
            return
        if lost:
            self._since_utc_s[name] = now.utc_s
            if now.utc_trusted:
                self._since_trusted.add(name)
        else:
            self._since_utc_s.pop(name, None)
            self._since_trusted.discard(name)
        self._unsaved.add(name)
        self._audit(
            {
                "t": rfc3339(now.utc_s),
                "mono_s": now.mono_s,
                "source": "daemon",
                "action": "utility_link",
                "object": name,
                "result": "lost" if lost else "restored",
                "message": why,
            }
        )


def _rank(program: Program) -> Rank:
    return Rank.UTILITY_MANDATORY if program.mandatory else Rank.UTILITY_VOLUNTARY
