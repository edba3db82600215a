"""Evidence: one contract for the file and the memory, and every way to tamper with it is found."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.adapters.evidence import SqliteEvidence, read_before_first, read_evidence
from edgectl.clock import Instant
from edgectl.daemon.desk.audit import PER_MINUTE, WAITING_MAX, Audit
from edgectl.errors import StorageFailed
from edgectl.model.evidence import (
    START,
    ChainName,
    Evidence,
    EvidenceRow,
    Head,
    linked,
    tampering,
    text_of,
)
from edgectl.simulator.memory.evidence import MemoryEvidence
from edgectl.simulator.memory.store import MemoryStore

LEDGER, AUDIT = ChainName.LEDGER, ChainName.AUDIT


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Evidence]:
    if kind == "memory":
        yield MemoryEvidence()
        return
    evidence = SqliteEvidence(folder / "evidence.db")
    await evidence.open()
    yield evidence
    await evidence.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_rows_are_chained_in_order_and_each_chain_is_its_own(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(kind, tmp_path) as evidence:
            assert await evidence.head(LEDGER) == START
            head = await evidence.append(LEDGER, [{"n": 1}, {"n": 2}])
            first = linked(LEDGER, START, '{"n":1}')
            assert head == linked(LEDGER, first.head, '{"n":2}').head
            assert await evidence.head(LEDGER) == head
            assert await evidence.head(AUDIT) == START
            await evidence.append(AUDIT, [{"n": 1}])
            assert await evidence.head(LEDGER) == head
            assert (await evidence.head(AUDIT)).hash != first.hash

    asyncio.run(main())


def test_a_file_is_taken_up_where_it_ended(tmp_path: Path) -> None:
    async def main() -> None:
        for number in range(3):
            async with opened("sqlite", tmp_path) as evidence:
                await evidence.append(LEDGER, [{"n": number}])

    asyncio.run(main())
    rows = list(read_evidence(tmp_path / "evidence.db", LEDGER))
    assert [row.doc for row in rows] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert tampering(LEDGER, rows, known=[rows[-1].head]) == []
    assert (tmp_path / "evidence.db").stat().st_mode & 0o077 == 0


def chain(count: int = 6) -> list[EvidenceRow]:
    rows: list[EvidenceRow] = []
    for number in range(count):
        before = rows[-1].head if rows else START
        rows.append(linked(LEDGER, before, text_of({"w": number})))
    return rows


Spoil = Callable[[list[EvidenceRow]], list[EvidenceRow]]


def rehashed(rows: list[EvidenceRow], place: int, text: str) -> list[EvidenceRow]:
    """What a clever forger does: everything after the change is made to fit."""
    made = rows[:place]
    for row in [replace(rows[place], text=text), *rows[place + 1 :]]:
        made.append(linked(LEDGER, made[-1].head if made else START, row.text))
    return made


TAMPERED: dict[str, Spoil] = {
    "changed": lambda r: [*r[:2], replace(r[2], text='{"w":9}'), *r[3:]],
    "changed with its own hash": lambda r: [
        *r[:2],
        linked(LEDGER, r[1].head, '{"w":9}'),
        *r[3:],
    ],
    "hash changed": lambda r: [*r[:2], replace(r[2], hash="0" * 64), *r[3:]],
    "first changed": lambda r: [replace(r[0], text='{"w":9}'), *r[1:]],
    "last changed": lambda r: [*r[:5], replace(r[5], text='{"w":9}')],
    "first missing": lambda r: r[1:],
    "one missing": lambda r: [*r[:2], *r[3:]],
    "one missing, renumbered": lambda r: [
        *r[:2],
        *(replace(row, number=row.number - 1) for row in r[3:]),
    ],
    "last missing": lambda r: r[:5],
    "all missing": lambda _: [],
    "two reordered": lambda r: [*r[:2], r[3], r[2], *r[4:]],
    "two reordered, renumbered": lambda r: [
        *r[:2],
        replace(r[3], number=3),
        replace(r[2], number=4),
        *r[4:],
    ],
    "one twice": lambda r: [*r[:3], r[2], *r[3:]],
    "one put in": lambda r: [*r[:3], replace(r[2], number=4, text='{"w":9}'), *r[3:]],
    "all made anew": lambda r: rehashed(r, 2, '{"w":9}'),
    "last made anew": lambda r: rehashed(r, 5, '{"w":9}'),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found(name: str) -> None:
    rows = chain()
    assert tampering(LEDGER, rows, known=[rows[-1].head, rows[2].head]) == []
    found = tampering(LEDGER, TAMPERED[name](rows), known=[rows[-1].head])
    assert found
    assert all(fault.text for fault in found)


def test_a_row_of_another_chain_does_not_fit() -> None:
    assert tampering(AUDIT, chain())


def test_beyond_the_bound_the_oldest_go_and_the_rest_can_be_verified(tmp_path: Path) -> None:
    async def main() -> None:
        evidence = SqliteEvidence(tmp_path / "e.db", rows_max={LEDGER: 20, AUDIT: 20})
        await evidence.open()
        for number in range(55):
            await evidence.append(LEDGER, [{"n": number}])
        await evidence.close()

    asyncio.run(main())
    rows = list(read_evidence(tmp_path / "e.db", LEDGER))
    before = read_before_first(tmp_path / "e.db", LEDGER)
    assert 15 <= len(rows) <= 20
    assert rows[-1].doc == {"n": 54}
    assert before.number == rows[0].number - 1
    assert tampering(LEDGER, rows, before=before) == []
    assert tampering(LEDGER, rows[1:], before=before)


def test_a_full_or_damaged_disk_adds_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened("sqlite", tmp_path) as evidence:
            head = await evidence.append(LEDGER, [{"n": 1}])
            with pytest.raises(ValueError, match="JSON"):
                await evidence.append(LEDGER, [{"n": 2}, {"n": float("nan")}])
            with closing(sqlite3.connect(tmp_path / "evidence.db")) as other:
                other.execute("BEGIN IMMEDIATE")
                locked = SqliteEvidence(tmp_path / "evidence.db", busy_s=0.05)
                await locked.open()
                with pytest.raises(StorageFailed, match="locked"):
                    await locked.append(LEDGER, [{"n": 3}])
                await locked.close()
                other.rollback()
            assert await evidence.head(LEDGER) == head
        (tmp_path / "evidence.db").write_bytes(b"not a database, and long enough to tell" * 40)
        broken = SqliteEvidence(tmp_path / "evidence.db")
        with pytest.raises(StorageFailed, match=r"evidence\.db"):
            await broken.open()

    asyncio.run(main())


def now(mono_s: float) -> Instant:
    return Instant(mono_s=mono_s, utc_s=1e9 + mono_s, utc_trusted=True)


def record(mono_s: float, **more: Any) -> dict[str, object]:
    return {"mono_s": mono_s, "action": "limit", "result": "unsigned", **more}


def test_the_audit_log_is_bounded_in_time_and_in_memory_and_says_so() -> None:
    async def main() -> None:
        evidence, store = MemoryEvidence(), MemoryStore()
        audit = Audit(evidence=evidence, store=store)
        await audit.load(now(0.0))
        for _ in range(PER_MINUTE + 50):
            audit.note(record(1.0))
        await audit.tick(now(2.0))
        await audit.tick(now(70.0))
        docs = [row.doc for row in evidence.rows[AUDIT]]
        assert docs[0]["result"] == "started"
        assert docs[-1]["result"] == "suppressed"
        counts = docs[-1]["counts"]
        assert isinstance(counts, dict)
        assert len(docs) - 2 + counts["unsigned"] == PER_MINUTE + 50
        kept = await store.load_all("evidence_head")
        assert kept["audit"]["number"] == len(docs)

        evidence.full = True
        for minute in range(2, 8):
            for number in range(PER_MINUTE):
                audit.note(record(60.0 * minute + 20.0, number=number))
            await audit.tick(now(60.0 * minute + 30.0))
        evidence.full = False
        await audit.tick(now(600.0))
        after = [row.doc for row in evidence.rows[AUDIT]][len(docs) :]
        assert after[0]["result"] == "lost"
        lost = after[0]["count"]
        assert isinstance(lost, int)
        assert len(after) - 1 == WAITING_MAX
        assert len(after) - 1 + lost == 6 * PER_MINUTE
        assert tampering(AUDIT, evidence.rows[AUDIT]) == []

    asyncio.run(main())


def test_heads_that_do_not_parse_are_no_excuse() -> None:
    rows = chain(2)
    assert tampering(LEDGER, rows, known=[Head(2, "f" * 64)])
