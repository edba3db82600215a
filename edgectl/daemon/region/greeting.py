"""What is told and asked on every connect: `status`, the birth on `site`, the subscriptions.

1. Nothing of it may keep the rows from going: a part that the broker does not take is left out, an
   alarm names it and the remedy, and everything else goes on.
2. A refusal costs nothing, so what was refused is offered again on every connect, and every
   `greeting_retry_s` while it lasts: rights are mended without ending it. A part on which the
   broker ends the connection `hang_ups_doubted` times running, or once with the word that it was
   too large, is offered again after `probe_every_s`, on the connection of that time; after each
   vain offer twice as long, up to a day.
3. An end within `stable_s` of the connect tells against what was refused, if anything was, not
   against what was on its way (see `refusals`).
4. Of the birth a brief form is offered where the broker does not take the whole one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from edgectl.contract import topics
from edgectl.contract.birth import BirthFacts, birth, presence
from edgectl.contract.envelope import to_json
from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.refusals import Refusals
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.ports import Clock
from edgectl.model.telemetry import BrokerSession, Denial, Outbox, OutMessage, Subscription

PROBE_MOST_S: Final = 86_400.0

_NOT_AUTHORIZED: Final = 0x87
_ROOM_STEP: Final = 1000
_log: Final = structlog.get_logger(__name__)


class Part(StrEnum):
    """One step of the greeting."""

    STATUS = "status"
    BIRTH = "site"
    BRIEF_BIRTH = "site, brief"
    SUBSCRIPTIONS = "subscriptions"


@dataclass(slots=True)
class _Standing:
    """How the broker took a part.

    `hang_ups`: ends of the connection with it on its way since it was taken last. `why`: why it is
    not taken; empty: it is, as far as is known. `said`, `code`, `topics`: of the last refusal, if
    the broker said one. `retry_s`: when it is offered again on a connection; `left_out`: and not
    before, on a new one either; `wait_s`: how long the next time.
    """

    wait_s: float
    hang_ups: int = 0
    why: str = ""
    said: str = ""
    code: int | None = None
    topics: tuple[str, ...] = ()
    retry_s: float | None = None
    left_out: bool = False


class Greeting:
    """Greets on one connection after the other; what it knows of the broker goes on."""

    def __init__(
        self,
        *,
        facts: BirthFacts,
        outbox: Outbox,
        clock: Clock,
        pace: Pace,
        names: topics.Topics,
        refusals: Refusals,
    ) -> None:
        self._facts = facts
        self._outbox = outbox
        self._clock = clock
        self._pace = pace
        self._topics = names
        self._refusals = refusals
        self._known: dict[str, dict[Part, _Standing]] = {}
        self._standing = self._of("")
        self._refused: set[Part] = set()
        self._brief_is_there = False
        self._birth_bytes = {Part.BIRTH: 0, Part.BRIEF_BIRTH: 0}

    def began(self, broker: str) -> None:
        """Begin on a connection; another broker may take what the one before did not."""
        self._standing = self._of(broker)
        self._refused.clear()
        self._brief_is_there = False

    def hung_up_early(self) -> None:
        """Know that the broker ended the connection soon after it was greeted."""
        for part in self._refused:
            self._count_end(part, f"{self._standing[part].said}, and ends the connection after it")

    async def say(self, session: BrokerSession) -> None:
        """Tell and ask everything that the broker may take."""
        online = self.presence("online")
        await self._offer(Part.STATUS, session, self._publishing(session, online))
        await self._tell_birth(session)
        await self._offer(Part.SUBSCRIPTIONS, session, self._subscribing(session))

    async def offer_again(self, session: BrokerSession) -> None:
        """Offer what was not taken and has waited long enough."""
        now_s = self._clock.monotonic_s()
        due = {
            part
            for part, standing in self._standing.items()
            if standing.retry_s is not None and standing.retry_s <= now_s
        }
        if Part.STATUS in due:
            online = self.presence("online")
            await self._offer(Part.STATUS, session, self._publishing(session, online))
        if due & {Part.BIRTH, Part.BRIEF_BIRTH}:
            await self._tell_birth(session)
        if Part.SUBSCRIPTIONS in due:
            await self._offer(Part.SUBSCRIPTIONS, session, self._subscribing(session))

    def next_probe_s(self) -> float | None:
        """When a part that was not taken is to be offered again; None while there is none."""
        due = [one.retry_s for one in self._standing.values() if one.retry_s is not None]
        return min(due, default=None)

    def presence(self, state: str, *, will: bool = False) -> OutMessage:
        """`status` as of now."""
        told = presence(
            self._facts,
            online=state == "online",
            stream=self._outbox.stream,
            made_utc_s=self._clock.now().utc_s,
            will=will,
        )
        return OutMessage(self._topics.whole(topics.STATUS), to_json(told), retain=True)

    def alarms(self) -> tuple[Alarm, ...]:
        """What of it the broker does not take, and what to do."""
        found = []
        if (status := self._standing[Part.STATUS]).why:
            text = (
                f"the broker does not take {self._topics.whole(topics.STATUS)}: {status.why};"
                " nobody there sees whether this gateway is up; give this client the right to"
                " publish retained messages below its prefix"
            )
            found.append(_alarm(topics.STATUS, text))
        found += self._birth_alarms()
        if (asked := self._standing[Part.SUBSCRIPTIONS]).why:
            text = (
                f"the broker refuses the subscription to {', '.join(asked.topics)}: {asked.why};"
                " what the utility sends there does not arrive; give this client the right to read"
                " below its prefix"
            )
            found.append(_alarm(asked.topics[0].removeprefix(self._topics.prefix), text))
        return tuple(found)

    def _birth_alarms(self) -> list[Alarm]:
        whole, brief = self._standing[Part.BIRTH], self._standing[Part.BRIEF_BIRTH]
        if not whole.why:
            return []
        size = self._birth_bytes[Part.BIRTH]
        remedy = (
            "give this client the right to publish retained messages below its prefix"
            if whole.code == _NOT_AUTHORIZED
            else f"give the broker room for packets of {_room(size)} bytes"
            " (mosquitto: max_packet_size)"
        )
        topic = self._topics.whole(topics.SITE)
        if brief.why:
            text = (
                f"the broker takes no birth message on {topic}, neither the whole one of {size}"
                f" bytes ({whole.why}) nor a brief one of {self._birth_bytes[Part.BRIEF_BIRTH]}"
                f" bytes ({brief.why}); nobody there learns what there is at this site; {remedy}"
            )
            return [_alarm(topics.SITE, text)]
        text = (
            f"the broker does not take the birth message of {size} bytes on {topic}: {whole.why};"
            f" a brief one without profiles, phases and limits is there in its place; {remedy}"
        )
        return [_alarm(topics.SITE, text, severity=Severity.WARNING)]

    async def _tell_birth(self, session: BrokerSession) -> None:
        if await self._offer(Part.BIRTH, session, self._birth(session, Part.BIRTH)):
            self._standing[Part.BRIEF_BIRTH] = self._as_taken()
            return
        if self._standing[Part.BIRTH].why and not self._brief_is_there:
            self._brief_is_there = await self._offer(
                Part.BRIEF_BIRTH, session, self._birth(session, Part.BRIEF_BIRTH)
            )

    async def _offer(
        self,
        part: Part,
        session: BrokerSession,
        send: Callable[[], Awaitable[Sequence[Denial]]],
    ) -> bool:
        """Offer a part unless it is left out; True when the broker took it."""
        standing = self._standing[part]
        now_s = self._clock.monotonic_s()
        if standing.left_out and standing.retry_s is not None and now_s < standing.retry_s:
            return False
        answered = False
        try:
            denials = await send()
            answered = True
        finally:
            # Whoever hears first of the end cancels this one, so it is not told by an error.
            if not answered and session.hung_up and not self._refused:
                too_large = session.found_too_large
                why = "it ends the connection on it" + (", as too large" if too_large else "")
                standing.code = None
                self._count_end(part, why, at_once=too_large)
        if not denials:
            self._refusals.granted(standing.topics)
            self._standing[part] = self._as_taken()
            return True
        if not standing.why:
            _log.warning("greeting_refused", part=part.value, text=denials[0].text)
        standing.why = standing.said = f"{denials[0].text} (code {denials[0].code})"
        standing.code = denials[0].code
        standing.topics = tuple(denial.topic for denial in denials)
        standing.left_out = False
        standing.retry_s = now_s + self._pace.greeting_retry_s
        self._refused.add(part)
        if part is not Part.BIRTH:
            for denial in denials:
                self._refusals.note(denial, self._clock.monotonic_s())
        return False

    def _count_end(self, part: Part, why: str, *, at_once: bool = False) -> None:
        """Count an end of the connection against a part; after enough of them it is left out."""
        standing = self._standing[part]
        standing.hang_ups += 1
        if at_once:
            standing.hang_ups = max(standing.hang_ups, self._pace.hang_ups_doubted)
        if standing.hang_ups < self._pace.hang_ups_doubted:
            return
        if not standing.left_out:
            _log.error("greeting_left_out", part=part.value, hang_ups=standing.hang_ups)
        standing.why = why
        if not standing.topics:
            standing.topics = tuple(self._topics.whole(name) for name, _ in topics.SUBSCRIBED)
        standing.left_out = True
        standing.retry_s = self._clock.monotonic_s() + standing.wait_s
        standing.wait_s = min(2 * standing.wait_s, PROBE_MOST_S)

    def _publishing(
        self, session: BrokerSession, message: OutMessage
    ) -> Callable[[], Awaitable[Sequence[Denial]]]:
        async def publish() -> Sequence[Denial]:
            denial = await session.publish(message)
            return () if denial is None else (denial,)

        return publish

    def _birth(
        self, session: BrokerSession, part: Part
    ) -> Callable[[], Awaitable[Sequence[Denial]]]:
        told = to_json(
            birth(
                self._facts,
                stream=self._outbox.stream,
                made_utc_s=self._clock.now().utc_s,
                brief=part is Part.BRIEF_BIRTH,
            )
        )
        self._birth_bytes[part] = len(told)
        message = OutMessage(self._topics.whole(topics.SITE), told, retain=True)
        return self._publishing(session, message)

    def _subscribing(self, session: BrokerSession) -> Callable[[], Awaitable[Sequence[Denial]]]:
        wanted = [Subscription(self._topics.whole(name), qos) for name, qos in topics.SUBSCRIBED]

        async def subscribe() -> Sequence[Denial]:
            return await session.subscribe(wanted)

        return subscribe

    def _of(self, broker: str) -> dict[Part, _Standing]:
        return self._known.setdefault(broker, {part: self._as_taken() for part in Part})

    def _as_taken(self) -> _Standing:
        return _Standing(wait_s=self._pace.probe_every_s)


def _alarm(name: str, text: str, *, severity: Severity = Severity.ALARM) -> Alarm:
    return Alarm(code=AlarmCode.BROKER_REFUSES, severity=severity, id=name, text=text)


def _room(size: int) -> int:
    """Bytes of a packet that a message of this size surely fits in, as a round number."""
    return _ROOM_STEP * (size // _ROOM_STEP + 2)
