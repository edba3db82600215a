"""What comes from the region goes to the desk that it is for; their answers go to the outbox."""

from edgectl.contract import dr_report, topics
from edgectl.contract.commands import CommandResponse
from edgectl.contract.dr import DrResponse
from edgectl.contract.dr_report import DrReport
from edgectl.contract.envelope import row
from edgectl.contract.topics import Topics
from edgectl.daemon.desk.audit import Audit
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.utility_links import UtilityLinks
from edgectl.model.ports import Clock
from edgectl.model.telemetry import Incoming, Outbox
from edgectl.model.trust import Connection


class Correspondence:
    """Takes messages one after the other; `connection` says how far the way here is believed."""

    def __init__(
        self,
        *,
        names: Topics,
        outbox: Outbox | None,
        clock: Clock,
        connection: Connection,
        audit: Audit,
    ) -> None:
        self._topics = names
        self._audit = audit
        self._outbox = outbox
        self._clock = clock
        self._connection = connection
        self._events: EventDesk | None = None
        self._commands: CommandDesk | None = None
        self._links: UtilityLinks | None = None
        self._asked: Incoming | None = None

    def serve(self, *, events: EventDesk, commands: CommandDesk, links: UtilityLinks) -> None:
        """Know the desks, which were given this object's `reply` methods."""
        self._events = events
        self._commands = commands
        self._links = links

    async def handle(self, incoming: Incoming) -> None:
        """Hand one message to every desk; each takes only what is for it."""
        name = self._topics.name_of(incoming.topic)
        if name is None or self._events is None or self._commands is None:
            return
        if self._links is not None:
            self._links.hear(name, retained=incoming.retain, now=self._clock.now())
        await self._events.handle(
            name,
            incoming.payload,
            retained=incoming.retain,
            connection=self._connection,
            now=self._clock.now(),
        )
        self._asked = incoming
        try:
            await self._commands.handle(
                name,
                incoming.payload,
                retained=incoming.retain,
                connection=self._connection,
                now=self._clock.now(),
            )
        finally:
            self._asked = None

    async def report(self, report: DrReport) -> None:
        """Report what was delivered; returns when it is on the disk."""
        if self._outbox is not None:
            name = topics.REPORT + dr_report.NAME
            await self._outbox.append([row(name, report, made_utc_s=self._now_utc_s())])

    async def reply_event(self, name: str, response: DrResponse) -> None:
        """Answer an event; returns when the answer is on the disk, after its audit record."""
        await self._audit.flush()
        if self._outbox is not None:
            made = row(name, response, made_utc_s=self._now_utc_s())
            await self._outbox.append([made])

    async def reply_command(self, name: str, response: CommandResponse) -> None:
        """Answer a command, also on the response topic that it names."""
        await self._audit.flush()
        if self._outbox is None:
            return
        asked = self._asked
        made = row(
            name,
            response,
            made_utc_s=self._now_utc_s(),
            response_topic=None if asked is None else asked.response_topic,
            correlation=None if asked is None else asked.correlation,
        )
        await self._outbox.append([made])

    def _now_utc_s(self) -> float:
        return self._clock.now().utc_s
