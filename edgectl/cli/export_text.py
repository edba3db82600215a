"""What a node may feed back, in a line for people."""

from typing import Any

from edgectl.cli.output import kilo, triple


def export_line(node: str, export: dict[str, Any]) -> str:
    """Say what a node may feed back, who says so, and what it does."""
    most = []
    if export.get("ceiling_w") is not None:
        most.append(f"{kilo(export['ceiling_w'])} kW")
    if export.get("ceiling_a") is not None:
        most.append(f"{triple(export['ceiling_a'])} A")
    if export.get("ceiling_va") is not None:
        most.append(f"{kilo(export['ceiling_va'])} kVA")
    fed_w = export.get("fed_w")
    now = "not measured" if fed_w is None else f"{kilo(fed_w)} kW now"
    return f"{node} may feed back {', '.join(most)} ({export['holder']['text']}): {now}"
