"""What a daemon hands to the next one in the same process when the site file is read anew.

1. Only what is the same device at the same place is known again; whatever else the new file names
   is met like a stranger: silent until it answers, counted with its hardware maximum (S9).
2. What the judgement remembers of EVSEs that are known again goes on; base loads are worked out
   anew where the tree or what hangs on it changed, for an EVSE that leaves is base load from then.
3. The time since the start begins anew, so that no charger that was never heard counts less for it.
   So does whatever else a judgement remembers: forgetting is cautious.
"""

from dataclasses import dataclass, replace

from edgectl.daemon.chronicle import Chronicle
from edgectl.daemon.region.happenings import Happenings
from edgectl.model.site import Evse, Link, Meter, Mode, Site
from edgectl.model.snapshot import EvseView, MeterView
from edgectl.model.state import State
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId, LinkId, MeterId


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The daemon before: its site, what it knew of every device, its judgement and its events.

    `happenings`: what the region was told last, so that it is told changes and not a new start.
    """

    loaded: LoadedSite
    meters: dict[MeterId, MeterView]
    evses: dict[EvseId, EvseView]
    state: State
    started_utc_s: float
    chronicle: Chronicle
    happenings: Happenings | None = None

    def known_meters(self, new: LoadedSite) -> dict[MeterId, MeterView]:
        """What is known of the meters that the new site has too."""
        same = same_meters(self.loaded, new)
        return {id_: view for id_, view in self.meters.items() if id_ in same}

    def known_evses(self, new: LoadedSite) -> dict[EvseId, EvseView]:
        """What is known of the EVSEs that the new site has too."""
        same = same_evses(self.loaded, new)
        return {id_: view for id_, view in self.evses.items() if id_ in same}

    def known_state(self, new: LoadedSite) -> State:
        """What the judgement remembers of what is the same."""
        same = same_evses(self.loaded, new)
        meters = {}
        if _same_tree(self.loaded.site, new.site):
            kept = same_meters(self.loaded, new)
            meters = {id_: base for id_, base in self.state.meters.items() if id_ in kept}
        evses = {id_: one for id_, one in self.state.evses.items() if id_ in same}
        return State(meters=meters, evses=evses)


def leaving(old: LoadedSite, new: LoadedSite) -> frozenset[EvseId]:
    """EVSEs that the new site does not know again; in observe mode nobody is told anything."""
    if old.site.mode is Mode.OBSERVE:
        return frozenset()
    return frozenset(evse.id for evse in old.site.evses) - same_evses(old, new)


def same_evses(old: LoadedSite, new: LoadedSite) -> frozenset[EvseId]:
    """EVSEs that are the same device, set up alike; node, weight and tier may have changed."""
    if old.site.mode is not new.site.mode:
        return frozenset()
    links = _same_links(old, new)
    before = {evse.id: _as_device(evse) for evse in old.site.evses}
    return frozenset(
        evse.id
        for evse in new.site.evses
        if before.get(evse.id) == _as_device(evse)
        and evse.link in links
        and old.profiles[evse.profile] == new.profiles[evse.profile]
    )


def same_meters(old: LoadedSite, new: LoadedSite) -> frozenset[MeterId]:
    """Meters that are the same device; how often they are asked may have changed."""
    links = _same_links(old, new)
    before = {meter.id: _as_instrument(meter) for meter in old.site.meters}
    return frozenset(
        meter.id
        for meter in new.site.meters
        if before.get(meter.id) == _as_instrument(meter)
        and meter.link in links
        and old.profiles[meter.profile] == new.profiles[meter.profile]
    )


def _same_links(old: LoadedSite, new: LoadedSite) -> frozenset[LinkId]:
    before: dict[LinkId, Link] = {link.id: link for link in old.site.links}
    return frozenset(link.id for link in new.site.links if before.get(link.id) == link)


def _same_tree(old: Site, new: Site) -> bool:
    """Whether the same loads hang below every node, so that base loads are what they were."""

    def places(site: Site) -> set[tuple[object, ...]]:
        return {(evse.id, evse.node, evse.phases) for evse in site.evses}

    def shape(site: Site) -> set[tuple[object, ...]]:
        return {(node.id, node.parent, node.base_max_a) for node in site.nodes}

    return places(old) == places(new) and shape(old) == shape(new)


def _as_device(evse: Evse) -> Evse:
    return replace(evse, node=type(evse.node)(""), weight=1.0, tier=0)


def _as_instrument(meter: Meter) -> Meter:
    return replace(meter, poll_s=0.0)
