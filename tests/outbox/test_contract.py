"""What every outbox promises, asked of the file and of the one in memory."""

import asyncio
from pathlib import Path

from edgectl.model.telemetry import Lane, Outbox, OutRow
from tests.outbox.rows import both, event, telemetry, with_outbox

EVER = 1 << 60


@both
def test_rows_come_out_in_order_and_as_they_went_in(kind: str, tmp_path: Path) -> None:
    rows = [
        telemetry(1, size=5000),
        event(2),
        OutRow(
            topic="command/response",
            schema="c",
            made_utc_s=1.5,
            body=b'{"a":"\xc3\xbc"}',
            response_topic="answers/me",
            correlation=b"\x00\x01",
        ),
    ]

    async def use(outbox: Outbox) -> None:
        await outbox.append(rows[:1])
        await outbox.append(rows[1:])
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=10)
        assert [one.seq for one in found] == [1, 2, 3]
        assert [one.row for one in found] == rows
        assert outbox.last_seq == 3
        assert outbox.counts.waiting == outbox.counts.kept == 3
        assert await outbox.waiting(after_seq=1, upto_seq=2, limit=10) == found[1:2]
        assert await outbox.waiting(after_seq=0, upto_seq=EVER, limit=2) == found[:2]

    with_outbox(kind, tmp_path, use)


@both
def test_an_acknowledged_row_stays_in_the_window_for_two_minutes(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(1), event(2), event(3)])
        await outbox.acknowledge(Lane.LIVE, [1, 3], served_s=10.0)
        await outbox.acknowledge(Lane.BACKFILL, [2], served_s=11.0)
        assert outbox.counts.waiting == 0
        # A second PUBACK after a second delivery neither moves a row nor makes it younger.
        await outbox.acknowledge(Lane.BACKFILL, [1], served_s=100.0)
        await outbox.let_go(served_s=129.0)
        live = await outbox.window(Lane.LIVE, after_seq=0, limit=10)
        assert [one.seq for one in live] == [1, 3]
        assert [one.seq for one in await outbox.window(Lane.LIVE, after_seq=1, limit=10)] == [3]
        await outbox.let_go(served_s=130.0)
        assert await outbox.window(Lane.LIVE, after_seq=0, limit=10) == ()
        backfill = await outbox.window(Lane.BACKFILL, after_seq=0, limit=10)
        assert [one.seq for one in backfill] == [2]
        await outbox.let_go(served_s=131.0)
        assert outbox.counts.kept == 0
        assert outbox.counts.bytes == 0

    with_outbox(kind, tmp_path, use)


@both
def test_a_number_is_never_given_twice(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(1), event(2)])
        await outbox.acknowledge(Lane.LIVE, [1, 2], served_s=0.0)
        await outbox.let_go(served_s=1000.0)
        assert outbox.counts.kept == 0
        await outbox.append([event(3)])
        (found,) = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=10)
        assert found.seq == 3

    with_outbox(kind, tmp_path, use)


@both
def test_who_waits_for_a_row_is_woken_by_it(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(1)])
        await outbox.wait_beyond(0)
        waiters = [asyncio.create_task(outbox.wait_beyond(1)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(waiter.done() for waiter in waiters)
        await outbox.append([event(2)])
        await asyncio.gather(*waiters)

    with_outbox(kind, tmp_path, use)


@both
def test_at_the_bound_the_oldest_telemetry_is_thinned_first_and_counted(
    kind: str, tmp_path: Path
) -> None:
    async def use(outbox: Outbox) -> None:
        for number in range(40):
            await outbox.append([telemetry(number, size=250)])
        counts = outbox.counts
        assert counts.bytes <= 12_500
        assert counts.thinned_values > 0
        assert counts.dropped_rows == 0
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=100)
        assert [one.seq for one in found] == list(range(1, 41))
        gone = [one.seq for one in found if not one.row.values]
        assert gone == [2 * k for k in range(1, len(gone) + 1)]
        assert counts.thinned_values == 10 * len(gone)

    with_outbox(kind, tmp_path, use, max_bytes=12_500)


@both
def test_beyond_the_bound_the_oldest_telemetry_is_dropped_and_counted_and_events_stay(
    kind: str, tmp_path: Path
) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(0)])
        for number in range(1, 41):
            await outbox.append([telemetry(number)])
        counts = outbox.counts
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=100)
        assert counts.kept == len(found) <= 20
        assert counts.dropped_rows == 41 - len(found)
        assert counts.dropped_values == 10 * counts.dropped_rows
        assert found[0].row == event(0)
        seqs = [one.seq for one in found[1:]]
        assert seqs == list(range(42 - len(seqs), 42))

    with_outbox(kind, tmp_path, use, max_rows=20)


@both
def test_at_the_bound_what_the_broker_has_taken_goes_before_anything_is_lost(
    kind: str, tmp_path: Path
) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([telemetry(number) for number in range(20)])
        await outbox.acknowledge(Lane.LIVE, list(range(1, 21)), served_s=0.0)
        await outbox.append([telemetry(number) for number in range(20, 38)])
        counts = outbox.counts
        assert counts.waiting == 18
        assert counts.kept <= 20
        assert counts.dropped_rows == counts.thinned_values == 0

    with_outbox(kind, tmp_path, use, max_rows=20)


@both
def test_events_alone_are_bounded_too(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(number) for number in range(50)])
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=100)
        assert outbox.counts.kept == len(found) <= 20
        assert found[-1].seq == 50
        assert outbox.counts.dropped_rows == 50 - len(found)

    with_outbox(kind, tmp_path, use, max_rows=20)


@both
def test_rows_that_are_set_aside_wait_for_nobody_and_come_back_under_new_numbers(
    kind: str, tmp_path: Path
) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(1), telemetry(2), event(3), event(4)])
        await outbox.set_aside([1, 3, 4])
        await outbox.set_aside([3])
        counts = outbox.counts
        assert (counts.waiting, counts.kept, counts.aside, counts.set_aside_rows) == (1, 4, 3, 3)
        found = await outbox.waiting(after_seq=0, upto_seq=EVER, limit=9)
        assert [one.seq for one in found] == [2]
        assert await outbox.offer_again("telemetry", limit=9) == ()
        assert await outbox.offer_again("event", limit=2) == ((1, 5), (3, 6))
        await outbox.append([telemetry(5)])
        assert await outbox.offer_again("event", limit=9) == ((4, 8),)
        assert await outbox.offer_again("event", limit=9) == ()
        found = await outbox.waiting(after_seq=2, upto_seq=EVER, limit=9)
        assert [(one.seq, one.row) for one in found] == [
            (5, event(1)),
            (6, event(3)),
            (7, telemetry(5)),
            (8, event(4)),
        ]
        counts = outbox.counts
        assert (counts.waiting, counts.kept, counts.aside, outbox.last_seq) == (5, 5, 0, 8)

    with_outbox(kind, tmp_path, use)


@both
def test_rows_that_are_given_up_are_gone_and_counted(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([event(1), telemetry(2), event(3)])
        await outbox.acknowledge(Lane.LIVE, [3], served_s=0.0)
        await outbox.give_up([2, 3, 9])
        counts = outbox.counts
        assert (counts.waiting, counts.kept) == (1, 2)
        assert (counts.refused_rows, counts.refused_values, counts.dropped_rows) == (1, 10, 0)

    with_outbox(kind, tmp_path, use)


@both
def test_what_is_set_aside_is_within_the_bounds_too(kind: str, tmp_path: Path) -> None:
    async def use(outbox: Outbox) -> None:
        await outbox.append([telemetry(number) for number in range(20)])
        await outbox.set_aside(list(range(1, 21)))
        await outbox.append([telemetry(number) for number in range(20, 30)])
        counts = outbox.counts
        assert counts.kept == counts.aside + counts.waiting <= 20
        assert counts.waiting == 10
        assert counts.dropped_rows == 30 - counts.kept

    with_outbox(kind, tmp_path, use, max_rows=20)
