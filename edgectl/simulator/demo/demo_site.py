"""The site file of a demo: the owner's, with links and broker turned to this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from edgectl.model.site import Evse, Meter
from edgectl.simulator.allowance import LinkFacts
from edgectl.simulator.demo.broker import Broker
from edgectl.sitefile.load import LoadedSite
from edgectl.units import LinkId

_HEAD: Final = "# Written by `edgectl demo`: hosts and ports are those of the simulated devices.\n"


def write_demo_site(
    original: Path, target: Path, *, ends: Mapping[LinkId, Mapping[str, object]], broker: Broker
) -> None:
    """Write the site file that the demo's daemon reads; `original` was loaded and found good."""
    data: dict[str, Any] = yaml.safe_load(original.read_text(encoding="utf-8"))
    for link in data["links"]:
        link.update(ends[LinkId(link["id"])])
    data["mqtt"] = {
        "brokers": [{"host": broker.host, "port": broker.port}],
        "protocol": broker.protocol,
    }
    # The demo's event is not signed; plain ones are taken from this machine alone.
    data["commands"] = {"unsigned": "loopback"}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    target.write_text(_HEAD + text, encoding="utf-8")


def link_facts(loaded: LoadedSite) -> dict[LinkId, LinkFacts]:
    """Give every link's slowest gap and longest timeout, as the profiles on it state them."""
    site = loaded.site
    facts: dict[LinkId, LinkFacts] = {}
    devices: tuple[Evse | Meter, ...] = (*site.evses, *site.meters)
    serial = {link.id: link.serial for link in site.links}
    for device in devices:
        transport = loaded.profiles[device.profile].transport
        line = serial[device.link]
        known = facts.get(device.link, LinkFacts(request_gap_s=0.0, timeout_s=0.0))
        facts[device.link] = LinkFacts(
            request_gap_s=max(known.request_gap_s, transport.request_gap_s),
            timeout_s=max(known.timeout_s, transport.timeout_s),
            character_s=0.0 if line is None else line.character_s,
        )
    return facts
