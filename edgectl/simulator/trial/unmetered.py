"""Chargers that measure nothing: a shipped profile without its points for what is drawn."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from edgectl.sitefile.load import LoadedSite

SUFFIX: Final = "-unmetered"
_MEASURED: Final = ("current_a.", "power_w", "energy_", "session_wh")


def without_measurements(loaded: LoadedSite, evses: Collection[str]) -> LoadedSite:
    """Give the site with these EVSEs on chargers that say nothing of their currents."""
    site = loaded.site
    names = {evse.profile for evse in site.evses if evse.id in evses}
    stripped = {
        name + SUFFIX: replace(
            loaded.profiles[name],
            id=name + SUFFIX,
            points=tuple(
                point
                for point in loaded.profiles[name].points
                if not point.name.startswith(_MEASURED)
            ),
        )
        for name in names
    }
    changed = tuple(
        replace(evse, profile=evse.profile + SUFFIX, traits=replace(evse.traits, metered=False))
        if evse.id in evses
        else evse
        for evse in site.evses
    )
    return replace(
        loaded, site=replace(site, evses=changed), profiles={**loaded.profiles, **stripped}
    )
