"""What the site file can say and this version cannot do: refused by name, never ignored.

Silence here would mean a limit, a signature or a rule that the owner relies on and that nobody
keeps.
"""

from collections.abc import Iterator

from edgectl.errors import Finding
from edgectl.sitefile.draft import Draft
from edgectl.sitefile.yaml_text import Where

_NODE_KEYS = {
    "transformer": "transformers with a winding",
    "primary_limit_a": "limits of a transformer's primary side",
}


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
    for placed in draft.nodes:
        for key, feature in _NODE_KEYS.items():
            if getattr(placed.entry, key) is not None:
                yield (*placed.where, key), feature, f"remove {key}, or wait for a version with it"


def _devices(draft: Draft) -> Iterator[tuple[Where, str, str]]:
    for evse in draft.evses:
        if evse.entry.connection != "line_to_neutral":
            yield (
                (*evse.where, "connection"),
                f"EVSEs connected {evse.entry.connection}",
                "only EVSEs between phase and neutral can be controlled",
            )
        if evse.entry.overrides is not None and evse.entry.overrides.sign is not None:
            yield (
                (*evse.where, "overrides", "sign"),
                "a sign for an EVSE's currents",
                "remove it: an EVSE's currents count as drawn, whatever their sign",
            )
