"""The figures of days and months: from what is kept to reports and answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.contract.record import Recorded
from edgectl.contract.reports import PeriodReport, period_report, session_report
from edgectl.errors import Refused
from edgectl.indicators.blocks import Block
from edgectl.indicators.books import Books
from edgectl.indicators.exclusions import Exclusions
from edgectl.indicators.figures import (
    YEAR_MIN,
    Facts,
    Place,
    Tally,
    figures,
    outage_minutes,
)
from edgectl.indicators.periods import Period, day_of, month_of, months_before, named
from edgectl.indicators.ports import Outage
from edgectl.indicators.sessions import Session
from edgectl.model.facts import Fact, FactStore
from edgectl.model.ports import Clock
from edgectl.model.settings import IndicatorSettings
from edgectl.model.site import Evse, Site, nominal_v

BLOCK: Final = Recorded(Block)
SESSION: Final = Recorded(Session)
OUTAGE: Final = Recorded(Outage)

PERIODS: Final[Mapping[str, Callable[[float, tzinfo], Period]]] = {
    "daily": day_of,
    "monthly": month_of,
}

_DAY_S: Final = 86_400.0
_YEAR_S: Final = YEAR_MIN * 60.0


class FactsDue:
    """Facts on their way to the disk, and those that are there, as one."""

    def __init__(self, store: FactStore) -> None:
        self.store = store
        self.due: dict[tuple[str, str], Fact] = {}

    def keep(self, fact: Fact) -> None:
        """Keep a fact with the next change, in place of one with its kind and key."""
        self.due[fact.kind, fact.key] = fact

    async def get(self, kind: str, key: str) -> Fact | None:
        """One fact."""
        return self.due.get((kind, key)) or await self.store.get(kind, key)

    async def between(self, kind: str, from_s: float, until_s: float) -> list[Fact]:
        """Facts of a kind that touch a time."""
        found = {fact.key: fact for fact in await self.store.between(kind, from_s, until_s)}
        for fact in self.due.values():
            if fact.kind == kind and fact.from_s < until_s and fact.until_s >= from_s:
                found[fact.key] = fact
        return list(found.values())


class Archive:
    """Answers for the past of one site; `books` gives what is going on, None before it begins."""

    def __init__(
        self,
        *,
        site: Site,
        settings: IndicatorSettings,
        facts: FactsDue,
        clock: Clock,
        books: Callable[[], Books | None],
    ) -> None:
        self._site = site
        self._facts = facts
        self._clock = clock
        self._books = books
        self.zone: tzinfo = ZoneInfo(site.timezone)
        self._exclusions = Exclusions(self.zone, settings.exclusions, settings.opening)
        self._place = _place(site)

    async def report(self, name: str, period: str | None) -> PeriodReport:
        """The figures of a day or month, as far as it has come; `Refused` for a bad name.

        `name`: `daily` or `monthly`. `period`: such as 2026-03-01 or 2026-03; None: the present.
        """
        now_s = self._clock.now().utc_s
        of = PERIODS.get(name)
        if of is None:
            raise Refused(
                code="malformed",
                message=f"there is no report {name!r}",
                remedy="ask for daily, monthly or sessions",
            )
        try:
            asked = of(now_s, self.zone) if period is None else named(period, self.zone)
        except ValueError as error:
            raise Refused(
                code="malformed", message=str(error), remedy="write 2026-03-01 or 2026-03"
            ) from None
        if asked.from_s > now_s or of(asked.from_s, self.zone).name != asked.name:
            raise Refused(
                code="malformed",
                message=f"{asked.name} is no period of the {name} report, or is yet to come",
                remedy="write a day such as 2026-03-01 for daily, a month such as 2026-03 for "
                "monthly",
            )
        return await self.period_report(name, asked, now_s=now_s)

    async def answer(self, words: Sequence[str], _query: Mapping[str, str]) -> object:
        """Answer `GET /v1/report/NAME[/PERIOD]`."""
        name = words[0] if words else "daily"
        period = words[1] if len(words) > 1 else None
        if name == "sessions":
            return {"sessions": await self._stays(period)}
        report = await self.report(name, period)
        return report.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def _stays(self, period: str | None) -> list[dict[str, object]]:
        """Every stay that ended in a day or month, in the form of `report/session`."""
        now_s = self._clock.now().utc_s
        try:
            asked = day_of(now_s, self.zone) if period is None else named(period, self.zone)
        except ValueError as error:
            raise Refused(
                code="malformed", message=str(error), remedy="write 2026-03-01 or 2026-03"
            ) from None
        ended = await self._sessions_ended(asked, until_s=now_s)
        return [
            session_report(one, station_id=self._site.id).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            for one in ended
        ]

    async def period_report(self, name: str, period: Period, *, now_s: float) -> PeriodReport:
        """The figures of a period, up to now."""
        until_s = min(period.until_s, now_s)
        outages = await self._outages(until_s - _YEAR_S, until_s)
        books = self._books()
        made = figures(
            period,
            Facts(
                tally=await self._tally(period, until_s=until_s),
                sessions=await self._sessions_ended(period, until_s=until_s),
                outages=outages,
                watched_from_s={} if books is None else books.watched_from_s(),
            ),
            place=self._place,
            exclusions=self._exclusions,
            now_s=now_s,
        )
        return period_report(
            made,
            timezone=self._site.timezone,
            outages=self._of_ports(outages, Period(period.name, period.from_s, until_s)),
            months_before=self._months_before(period, outages) if name == "monthly" else None,
        )

    async def _tally(self, period: Period, *, until_s: float) -> Tally:
        """Sum the quarter hours up day by day; between two of them control has its turn."""
        tally = Tally(period, self._place)
        from_s = period.from_s
        while from_s < until_s:
            to_s = min(from_s + _DAY_S, until_s)
            for fact in await self._facts.between("block", from_s, to_s):
                # A block that touches the day before was counted there.
                if fact.from_s >= from_s:
                    tally.add(BLOCK.of_document(fact.doc))
            await self._clock.sleep_until(self._clock.monotonic_s())
            from_s = to_s
        books = self._books()
        for part in () if books is None else books.blocks.as_kept().values():
            tally.add(part)
        return tally

    def _of_ports(
        self, outages: Sequence[Outage], period: Period
    ) -> dict[str, list[tuple[Outage, float, float]]]:
        found: dict[str, list[tuple[Outage, float, float]]] = {}
        for outage in outages:
            minutes, excluded = outage_minutes(
                outage.port_id, (outage,), period, exclusions=self._exclusions
            )
            if minutes > 0.0:
                found.setdefault(outage.port_id, []).append((outage, minutes, excluded))
        return found

    def _months_before(
        self, period: Period, outages: Sequence[Outage]
    ) -> dict[str, dict[str, tuple[float, float]]]:
        """680.112(a)(7): outage and excluded minutes of each port in the three months before."""
        made: dict[str, dict[str, tuple[float, float]]] = {}
        for month in months_before(period, 3, self.zone):
            of_month = made[month.name] = {}
            for port_id in self._place.rated_w:
                minutes, excluded = outage_minutes(
                    port_id, outages, month, exclusions=self._exclusions
                )
                of_month[port_id] = (round(minutes, 2), round(excluded, 2))
        return made

    async def _outages(self, from_s: float, until_s: float) -> tuple[Outage, ...]:
        kept = [
            OUTAGE.of_document(fact.doc)
            for fact in await self._facts.between("outage", from_s, until_s)
        ]
        books = self._books()
        lasting = () if books is None else books.open_outages()
        return tuple(sorted((*kept, *lasting), key=lambda outage: outage.from_s))

    async def _sessions_ended(self, period: Period, *, until_s: float) -> tuple[Session, ...]:
        found = [
            SESSION.of_document(fact.doc)
            for fact in await self._facts.between("session", period.from_s, until_s)
        ]
        ended = [
            one
            for one in found
            if one.end_s is not None and period.from_s <= one.end_s < min(until_s, period.until_s)
        ]
        return tuple(sorted(ended, key=lambda one: (one.start_s, one.port_id)))


def _place(site: Site) -> Place:
    return Place(
        rated_w={evse.id: rated_w(evse, site) for evse in site.evses},
        root=next(node.id for node in site.nodes if node.parent is None),
        metered=frozenset(meter.node for meter in site.meters),
    )


def rated_w(evse: Evse, site: Site) -> float:
    """What an EVSE can draw at the nominal voltage."""
    most_a = min(evse.max_a, evse.traits.hardware_max_a)
    return most_a * evse.voltages * nominal_v(site, node=evse.node)
