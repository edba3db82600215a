"""The audit log: who asked for what, with which right, and what became of it.

1. Every record goes to the journal at once and to the chain of evidence before an answer that
   follows it leaves the gateway.
2. A disk that refuses takes nothing from control: records wait in memory, bounded, and what is lost
   is counted in the chain.
3. A flood is bounded: beyond `PER_MINUTE` records are counted by their result, one row a minute.
"""

import asyncio
from collections import Counter, deque
from typing import Final

import structlog

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.errors import StorageFailed
from edgectl.model.evidence import ChainName, Evidence, Head
from edgectl.model.store import Document, Store

PER_MINUTE: Final = 600
WAITING_MAX: Final = 2000
_MINUTE_S: Final = 60.0
_HEAD_KIND: Final = "evidence_head"
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
        """Say that a new process began."""
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
        await self.flush()
        await self._keep_heads()

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

    async def _keep_heads(self) -> None:
        if self._evidence is None:
            return
        for name in ChainName:
            head = await self._evidence.head(name)
            if head.number and self._told.get(name) != head:
                doc: Document = {"number": head.number, "hash": head.hash}
                try:
                    await self._store.put(_HEAD_KIND, name.value, doc)
                except StorageFailed:
                    return
                self._told[name] = head
