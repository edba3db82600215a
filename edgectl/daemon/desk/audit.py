"""The audit log: who asked for what, with which right, and what became of it.

1. Every record goes to the journal at once and to the chain of evidence before an answer that
   follows it leaves the gateway.
2. A disk that refuses takes nothing from control: records wait in memory, bounded, and what is lost
   is counted in the chain.
3. The newest hash of each chain is kept elsewhere. A chain that does not have it when the daemon
   starts was cut or changed meanwhile: that is recorded, alarmed, and never covered up by what
   follows.
4. A flood is bounded: beyond `PER_MINUTE` records are counted by their result, one row a minute.
"""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from typing import Final

import structlog

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.errors import StorageFailed
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.evidence import ChainName, Evidence, Head
from edgectl.model.store import Document, Store

PER_MINUTE: Final = 600
WAITING_MAX: Final = 2000
_MINUTE_S: Final = 60.0
_HEAD_KIND: Final = "evidence_head"
_MISSED: Final = "@"
_journal: Final = structlog.get_logger("edgectl.audit")


class Audit:
    """`evidence` None: only the journal."""

    def __init__(self, *, evidence: Evidence | None, store: Store) -> None:
        self._evidence = evidence
        self._store = store
        self._waiting: deque[Document] = deque()
        self._lock = asyncio.Lock()
        self._minute_mono_s = -_MINUTE_S
        self._in_minute = 0
        self._suppressed: Counter[str] = Counter()
        self._lost = 0
        self._failing = False
        self._told: dict[ChainName, Head] = {}
        self._unchecked: dict[ChainName, Head] = {}
        self._broken: dict[ChainName, Head] = {}

    def note(self, record: Document) -> None:
        """Take one record; never waits."""
        _journal.info("audit", **record)
        if self._evidence is None:
            return
        mono_s = record.get("mono_s")
        if isinstance(mono_s, float) and mono_s - self._minute_mono_s >= _MINUTE_S:
            self._minute_mono_s, self._in_minute = mono_s, 0
        self._in_minute += 1
        if self._in_minute > PER_MINUTE:
            self._suppressed[str(record.get("result"))] += 1
            return
        self._waiting.append(record)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._lost += 1

    async def load(self, now: Instant) -> None:
        """Say that a new process began, and look whether the chains are where they were left."""
        for key, doc in (await self._store.load_all(_HEAD_KIND)).items():
            chain, _, _ = key.partition(_MISSED)
            with suppress(KeyError, ValueError):
                head = Head(int(str(doc["number"])), str(doc["hash"]))
                if key == chain:
                    self._unchecked[ChainName(chain)] = head
                else:
                    self._broken[ChainName(chain)] = head
        await self._check_heads(now)
        self.note(
            {
                "t": rfc3339(now.utc_s),
                "mono_s": now.mono_s,
                "actor": "daemon",
                "source": "daemon",
                "action": "start",
                "result": "started",
            }
        )
        await self.flush()

    async def tick(self, now: Instant) -> None:
        """Keep what waits, say what was suppressed, and keep the newest hash elsewhere."""
        if self._suppressed and now.mono_s - self._minute_mono_s >= _MINUTE_S:
            counts = dict(self._suppressed)
            self._suppressed.clear()
            self._waiting.append(
                {
                    "t": rfc3339(now.utc_s),
                    "mono_s": now.mono_s,
                    "actor": "daemon",
                    "source": "daemon",
                    "action": "audit",
                    "result": "suppressed",
                    "counts": counts,
                }
            )
        await self._check_heads(now)
        await self.flush()
        await self._keep_heads()

    def alarms(self) -> tuple[Alarm, ...]:
        """Chains that were cut or changed while no daemon ran."""
        return tuple(
            Alarm(
                code=AlarmCode.EVIDENCE_BROKEN,
                severity=Severity.ALARM,
                id=chain.value,
                text=f"row {head.number} of the {chain.value} was kept and is not there now, or"
                " is another one; see `edgectl dr verify`",
            )
            for chain, head in self._broken.items()
        )

    async def flush(self) -> None:
        """Put everything that waits on the disk; a disk that refuses is tried again."""
        if self._evidence is None:
            return
        async with self._lock:
            if not self._waiting:
                return
            batch, self._waiting = list(self._waiting), deque()
            lost: list[Document] = []
            if self._lost:
                lost.append({"action": "audit", "result": "lost", "count": self._lost})
            try:
                await self._evidence.append(ChainName.AUDIT, [*lost, *batch])
            except StorageFailed as fault:
                tell = _journal.debug if self._failing else _journal.error
                tell("audit_not_stored", error=str(fault), waiting=len(batch))
                self._failing = True
                self._waiting.extendleft(reversed(batch))
                while len(self._waiting) > WAITING_MAX:
                    self._waiting.popleft()
                    self._lost += 1
                return
            self._failing = False
            self._lost = 0

    async def _check_heads(self, now: Instant) -> None:
        """Hold each chain against the hash that was kept elsewhere, once it can be read."""
        if self._evidence is None:
            return
        for chain, head in list(self._unchecked.items()):
            try:
                found = await self._evidence.at(chain, head.number)
                if found != head:
                    doc: Document = {"number": head.number, "hash": head.hash}
                    key = f"{chain.value}{_MISSED}{head.number}"
                    await self._store.put(_HEAD_KIND, key, doc)
            except StorageFailed:
                continue
            del self._unchecked[chain]
            if found == head:
                continue
            self._broken[chain] = head
            self.note(
                {
                    "t": rfc3339(now.utc_s),
                    "mono_s": now.mono_s,
                    "actor": "daemon",
                    "source": "daemon",
                    "action": "evidence",
                    "object": chain.value,
                    "result": "broken",
                    "message": f"row {head.number} {head.hash} is not there",
                }
            )

    async def _keep_heads(self) -> None:
        if self._evidence is None:
            return
        for name in ChainName:
            if name in self._unchecked:
                continue
            head = await self._evidence.head(name)
            if head.number and self._told.get(name) != head:
                doc: Document = {"number": head.number, "hash": head.hash}
                try:
                    await self._store.put(_HEAD_KIND, name.value, doc)
                except StorageFailed:
                    return
                self._told[name] = head
