"""A good site file for tests, and the ways to spoil it."""

from collections.abc import Sequence
from pathlib import Path

from edgectl.errors import BadInput, Finding
from edgectl.sitefile.load import LoadedSite, load_source
from edgectl.sitefile.source import parse_bytes

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
PROFILES = CONFIG / "profiles"
BROKEN = Path(__file__).parent / "broken"

GOOD = """\
site: {id: s1, region: r1, timezone: Europe/Berlin, voltage_v: 230, mode: control}
nodes:
  - {id: grid, limit_a: [100, 100, 100], base_max_a: [20, 20, 20], margin_a: 2, trip_s: 30}
  - {id: panel, parent: grid, limit_va: 40000, base_max_a: [0, 0, 0]}
links:
  - {id: lan1, kind: tcp, host: 10.0.0.21, port: 502}
  - {id: lan2, kind: tcp, host: 10.0.0.22}
  - {id: lan3, kind: tcp, host: 10.0.0.23}
meters:
  - {id: m1, node: grid, profile: janitza-umg96rm, link: lan1, unit: 1, poll_s: 0.5}
evses:
  - {id: e1, node: panel, profile: phoenix-charx-sec, link: lan2, unit: 255, connector: 1,
     phases: [1, 2, 3], max_a: 32, failsafe_a: 6, boot_a: 6}
  - {id: e2, node: panel, profile: phoenix-charx-sec, link: lan2, unit: 255, connector: 2,
     phases: [2, 3, 1], max_a: 32, failsafe_a: 6, boot_a: 6}
  - {id: e3, node: grid, profile: keba-p40, link: lan3, unit: 255,
     phases: [3], max_a: 16, failsafe_a: 0, boot_a: 6}
groups: {all-bays: [e1, e2, e3]}
caps:
  - {node: grid, kw: 20, from: "16:00", to: "21:00", days: [mon, fri]}
programs:
  - {id: p1, kind: mandatory, default_unit: KW, reference_kw: 60, minimum_kw: 4}
mqtt: {brokers: [{host: broker.example, port: 8883}], ca: ca.pem, cert: gw.pem, key: gw.key}
commands: {unsigned: mtls}
"""


def spoil(old: str, new: str) -> str:
    """The good file with one part replaced; the part must stand there once."""
    assert GOOD.count(old) == 1, f"{old!r} stands {GOOD.count(old)} times in the good file"
    return GOOD.replace(old, new)


def load_text(text: str, *, profile_dirs: Sequence[Path] = ()) -> LoadedSite:
    """Load a text, with the built-in profiles and those of `profile_dirs`."""
    source = parse_bytes(text.encode(), file="site.yaml")
    return load_source(source, profile_dirs=[*profile_dirs, PROFILES])


def findings_in(text: str) -> tuple[Finding, ...]:
    """What is wrong with a text; nothing if nothing is."""
    try:
        load_text(text)
    except BadInput as error:
        return error.findings
    return ()


def marks(findings: tuple[Finding, ...]) -> list[tuple[int, str, str]]:
    return [(finding.line, finding.path, finding.code) for finding in findings]
