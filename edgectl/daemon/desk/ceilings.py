"""All that narrows from outside: events, lost utilities, commands, the operator's caps."""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.clock import Instant
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.utility_links import UtilityLinks
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.site import Site
from edgectl.model.snapshot import EvseView
from edgectl.planning.caps import cap_ceilings
from edgectl.units import EvseId

CAPS_AGAIN_S: Final = 3600.0


class Ceilings:
    """Asked by the tick; the caps' windows are worked out once an hour for two days ahead."""

    def __init__(
        self, site: Site, *, events: EventDesk, links: UtilityLinks, commands: CommandDesk
    ) -> None:
        self._site = site
        self._events = events
        self._links = links
        self._commands = commands
        self._zone = ZoneInfo(site.timezone)
        self._caps: tuple[TimedCeiling, ...] = ()
        self._caps_utc_s: float | None = None

    def __call__(self, now: Instant) -> tuple[TimedCeiling, ...]:
        """Let the desks' time pass, then collect."""
        self._events.advance(now)
        self._links.advance(now)
        self._commands.advance(now)
        return (
            *self._events.ceilings(),
            *self._links.ceilings(),
            *self._commands.ceilings(),
            *self._caps_at(now.utc_s),
        )

    def isolated(self, evses: Mapping[EvseId, EvseView]) -> tuple[EvseId, ...]:
        """EVSEs that are locked off and have not answered since (S11)."""
        return self._commands.isolated(evses)

    def _caps_at(self, utc_s: float) -> tuple[TimedCeiling, ...]:
        known_s = self._caps_utc_s
        if known_s is None or not 0.0 <= utc_s - known_s < CAPS_AGAIN_S:
            self._caps = cap_ceilings(self._site.caps, zone=self._zone, now_utc_s=utc_s)
            self._caps_utc_s = utc_s
        return self._caps
