"""What the site file can say and this version cannot do: refused by name, never ignored.

Silence here would mean a limit, a signature or a rule that the owner relies on and that nobody
keeps.
"""

from collections.abc import Iterator

from edgectl.errors import Finding
from edgectl.sitefile.draft import Draft
from edgectl.sitefile.yaml_text import Where


def check_supported(draft: Draft) -> Iterator[Finding]:
    """Name every feature that the file asks for and this version does not have."""
    for where, feature, remedy in (
        *_nodes(draft),
        *_devices(draft),
    ):
        yield draft.source.finding(
            where,
            code="not_supported",
            message=f"this version does not have {feature}",
            remedy=remedy,
        )


def _nodes(draft: Draft) -> Iterator[tuple[Where, str, str]]:
    phasors = any(placed.entry.transformer is not None for placed in draft.nodes) or any(
        placed.entry.connection == "line_to_line" for placed in draft.evses
    )
    for placed in draft.nodes:
        if phasors and placed.entry.unbalance_a is not None:
            yield (
                (*placed.where, "unbalance_a"),
                "an unbalance ceiling on a site with line-to-line EVSEs or transformers",
                "remove unbalance_a",
            )


def _devices(draft: Draft) -> Iterator[tuple[Where, str, str]]:
    for evse in draft.evses:
        if evse.entry.overrides is not None and evse.entry.overrides.sign is not None:
            yield (
                (*evse.where, "overrides", "sign"),
                "a sign for an EVSE's currents",
                "remove it: an EVSE's currents count as drawn, whatever their sign",
            )
