"""Requests of the technician on a link that has its owner (`read`, `write`, `probe`).

1. They go like polls, by the time at which they were asked for, so that they delay no setpoint.
2. They are few (S23), and whoever asked may stop waiting: what has not gone out then never does.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgectl.daemon.lines.errand import Errand, Rank
from edgectl.errors import Refused
from edgectl.model.modbus import Answer, Miss, MissCause, Request

MOST: Final = 4


@dataclass(slots=True, eq=False)
class _Guest:
    errand: Errand
    done: "asyncio.Future[Answer | Miss]"


class Guests:
    """The queue of one link."""

    def __init__(self) -> None:
        self._waiting: list[_Guest] = []

    async def outcome(
        self,
        request: Request,
        *,
        timeout_s: float,
        asked_s: float,
        before: Callable[[float], None] | None,
        wake: Callable[[], None],
    ) -> Answer | Miss:
        """Wait for a turn and for what comes of it; `Refused` when too many wait already."""
        if len(self._waiting) >= MOST:
            raise Refused(
                code="too_many",
                message=f"{MOST} requests wait for this link already",
                remedy="try again in a few seconds",
            )
        done: asyncio.Future[Answer | Miss] = asyncio.get_running_loop().create_future()
        errand = Errand(
            rank=Rank.POLL,
            order=asked_s,
            request=request,
            timeout_s=timeout_s,
            before=before,
            after=lambda outcome: self._told(guest, outcome),
        )
        guest = _Guest(errand, done)
        self._waiting.append(guest)
        wake()
        try:
            return await done
        finally:
            self._waiting = [one for one in self._waiting if one is not guest]

    def errands(self) -> tuple[Errand, ...]:
        """Everything that waits, the oldest first."""
        if not self._waiting:
            return ()
        return tuple(guest.errand for guest in self._waiting)

    def lost(self, why: str, now_s: float) -> None:
        """Tell all of them that the link is down."""
        for guest in self._waiting:
            self._told(
                guest,
                Miss(cause=MissCause.DISCONNECTED, sent_s=now_s, received_s=now_s, detail=why),
            )

    def _told(self, guest: _Guest, outcome: Answer | Miss) -> None:
        self._waiting = [one for one in self._waiting if one is not guest]
        if not guest.done.done():
            guest.done.set_result(outcome)
