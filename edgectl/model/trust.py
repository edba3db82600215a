"""How far a remote connection may be believed without a signature."""

from enum import StrEnum

from edgectl.model.settings import Unsigned


class Connection(StrEnum):
    """How the broker is reached. `LOOPBACK`: plain, to 127.0.0.1 or ::1. `OTHER`: neither."""

    MTLS = "mtls"
    LOOPBACK = "loopback"
    OTHER = "other"


def allows_unsigned(policy: Unsigned, connection: Connection) -> bool:
    """Tell whether an unsigned payload may be acted on."""
    return policy is not Unsigned.NEVER and policy.value == connection.value
