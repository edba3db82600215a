"""The MQTT topics of one site: names below the prefix `edgectl/v1/{region}/{site}/`."""

from dataclasses import dataclass
from typing import Final

STATUS: Final = "status"
SITE: Final = "site"
TELEMETRY: Final = "telemetry"
EVENT: Final = "event"
REPORT: Final = "report/"
DR_EVENT: Final = "dr/event"
DR_INDEX: Final = "dr/index"
DR_HEARTBEAT: Final = "dr/heartbeat/"
DR_RESPONSE: Final = "dr/response"
COMMAND: Final = "command/"
COMMAND_RESPONSE: Final = "command/response"

SUBSCRIBED: Final[tuple[tuple[str, int], ...]] = (
    ("dr/event/+", 1),
    ("dr/event", 1),
    ("dr/index", 1),
    ("dr/heartbeat/+", 0),
    ("command/+", 1),
)
"""Filters below the prefix, each with its quality of service."""

_OWN_NAMES: Final = frozenset({"status", "site", "telemetry", "event", "report", "dr", "command"})


@dataclass(frozen=True, slots=True)
class Topics:
    """Turns names into whole topics and back."""

    region: str
    site: str

    @property
    def prefix(self) -> str:
        """What every topic of this site begins with, slash included."""
        return f"edgectl/v1/{self.region}/{self.site}/"

    def whole(self, name: str) -> str:
        """The whole topic of a name below the prefix."""
        return self.prefix + name

    def name_of(self, topic: str) -> str | None:
        """The name below the prefix; None for a topic of somebody else."""
        return topic[len(self.prefix) :] if topic.startswith(self.prefix) else None

    def may_answer(self, topic: str) -> bool:
        """Whether a requester may have its answer there.

        Below this site's prefix, at no name that has a meaning of its own, without wildcards.
        """
        name = self.name_of(topic)
        if not name or any(sign in name for sign in "+#\0"):
            return False
        return name.startswith(f"{COMMAND_RESPONSE}/") or name.split("/")[0] not in _OWN_NAMES
