"""A port seen second by second, by a script of states and powers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgectl.indicators.books import Books, Kept, MeterSeen, News, SiteSeen
from edgectl.indicators.energy import Reading
from edgectl.indicators.ports import Outage
from edgectl.indicators.sessions import Cause, PortSeen, PortState, Session

START_S = 1_767_225_600.0
MOST_W = 25_000.0


@dataclass
class Port:
    """A charging point as it is; `register_every_s`: how often its register is read."""

    books: Books = field(
        default_factory=lambda: Books(None, port_most_w={"p": MOST_W}, meter_most_w={"n": 1e6})
    )
    at_s: float = START_S
    register_every_s: float = 30.0
    wh: float = 1_000_000.0
    read: Reading | None = None
    clock_off_s: float = 0.0
    started: list[Session] = field(default_factory=list)
    ended: list[Session] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)

    def passes(
        self,
        seconds: float,
        state: PortState,
        power_w: float = 0.0,
        *,
        held_by: Cause | None = None,
        curtailed: bool = False,
        errors: frozenset[str] = frozenset(),
    ) -> None:
        """Look once a second."""
        for _ in range(int(seconds)):
            self.at_s += 1.0
            self.wh += power_w / 3600.0
            if self.read is None or self.at_s - self.read.at_s >= self.register_every_s:
                self.read = Reading(self.at_s, float(int(self.wh)))
            self.look(state, power_w, held_by=held_by, curtailed=curtailed, errors=errors)

    def look(self, state: PortState, power_w: float = 0.0, **more: object) -> News:
        off_s = self.clock_off_s
        read = self.read
        seen = PortSeen(
            at_s=self.at_s + off_s,
            state=state,
            power_w=power_w,
            register=None if read is None else Reading(read.at_s + off_s, read.wh),
            heard_s=None if state is PortState.UNHEARD else self.at_s + off_s,
            **more,  # type: ignore[arg-type]
        )
        site = SiteSeen(self.at_s + off_s, {"p": seen}, {"n": MeterSeen(imported=seen.register)})
        news = self.books.look(site)
        self.started += news.started
        self.ended += news.ended
        self.outages += news.outages
        return news

    def gone_for(self, seconds: float, power_w: float = 0.0) -> None:
        """Nobody looks, but energy may flow."""
        self.at_s += seconds
        self.wh += power_w * seconds / 3600.0
        self.read = Reading(self.at_s, float(int(self.wh)))

    def restart(self, kept: Kept) -> None:
        self.books = Books(kept, port_most_w={"p": MOST_W}, meter_most_w={"n": 1e6})

    def block_energies(self) -> Iterator[tuple[float, float]]:
        for start, block in sorted(self.books.blocks.as_kept().items()):
            yield (start - START_S) / 900.0, block.ports["p"].energy_wh
