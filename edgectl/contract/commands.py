"""Commands: what arrives on `command/*` or over the local API, and the answers to it.

1. Every command has an id and an end of validity; a limit and a target end by themselves.
2. A pause without `duration_s` holds until it is resumed or released: that is its declared rule.
3. Fields that we do not know are left alone; fields that we know must have their right type.
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgectl.contract import topics
from edgectl.contract.envelope import Envelope, Outgoing, Timestamp
from edgectl.contract.refusal import RefusalCode, malformed
from edgectl.contract.wire_time import WireTime
from edgectl.units import PHASES

BYTES_MAX: Final = 16_384
DURATION_MAX_S: Final = 31 * 86_400.0
VALID_MAX_S: Final = 7 * 86_400.0
"""From `made_at` to `expires_at`: a command is remembered for so long."""

_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Amount = Annotated[float, Field(ge=0, le=1e9)]
_DurationS = Annotated[float, Field(gt=0, le=DURATION_MAX_S)]
_Reason = Annotated[str, Field(min_length=1, max_length=500)]


class Verb(StrEnum):
    """What can be commanded."""

    LIMIT = "limit"
    PAUSE = "pause"
    RESUME = "resume"
    TARGET = "target"
    RELEASE = "release"
    ISOLATE = "isolate"


LOCAL_ONLY: Final = frozenset({Verb.ISOLATE})
"""Whoever says that a charger is locked off must stand beside it: not taken over MQTT."""


class CommandResult(StrEnum):
    """What became of a command."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class CommandResponse(Outgoing):
    """The answer to a command. `until`: when its effect ends, where it ends by time."""

    schema_id: ClassVar[str] = "edgectl/v1/command/response"

    command_id: str | None = None
    result: CommandResult
    code: RefusalCode | None = None
    message: str
    remedy: str | None = None
    until: Timestamp | None = None


class CommandResponseMessage(Envelope, CommandResponse):
    """`command/response` as it is published."""


class _Command(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)

    command_id: _Name
    issuer: _Name
    made_at: WireTime
    expires_at: WireTime

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.expires_at - self.made_at > VALID_MAX_S:
            days = VALID_MAX_S / 86_400.0
            raise ValueError(f"expires_at must be at most {days:g} days after made_at")
        return self


class LimitCommand(_Command):
    """A ceiling for a time: `limit_a` (one value for all phases, or one for each) or `limit_w`."""

    node: _Name | None = None
    evse: _Name | None = None
    limit_a: Annotated[list[_Amount | None], Field(min_length=1, max_length=3)] | None = None
    limit_w: _Amount | None = None
    duration_s: _DurationS
    reason: _Reason

    @model_validator(mode="after")
    def _one_of_each(self) -> "LimitCommand":
        if (self.node is None) == (self.evse is None):
            raise ValueError("needs exactly one of node and evse")
        if (self.limit_a is None) == (self.limit_w is None):
            raise ValueError("needs exactly one of limit_a and limit_w")
        if self.limit_a is not None and (
            len(self.limit_a) not in {1, len(PHASES)}
            or all(value is None for value in self.limit_a)
        ):
            raise ValueError("limit_a needs one number for all phases, or one for each of three")
        return self


class PauseCommand(_Command):
    """No charging at an EVSE, for a time or until resumed."""

    evse: _Name
    duration_s: _DurationS | None = None
    reason: _Reason


class ResumeCommand(_Command):
    """The end of pauses at an EVSE."""

    evse: _Name
    reason: _Reason


class TargetCommand(_Command):
    """What a vehicle needs by when; it ends at the departure."""

    evse: _Name
    vehicle: _Name | None = None
    energy_wh: _Amount
    departure: WireTime
    priority: Annotated[int, Field(ge=0, le=1000)] | None = None
    reason: _Reason | None = None


class ReleaseCommand(_Command):
    """The end of an earlier command's effect, or a voluntary event set aside for `duration_s`."""

    target_command_id: _Name
    duration_s: _DurationS | None = None
    reason: _Reason | None = None


class IsolateCommand(_Command):
    """Somebody has locked an EVSE's supply off (S11): it counts nothing until it answers."""

    evse: _Name
    reason: _Reason


Command: TypeAlias = (
    LimitCommand | PauseCommand | ResumeCommand | TargetCommand | ReleaseCommand | IsolateCommand
)

MODELS: Final[dict[Verb, type[Command]]] = {
    Verb.LIMIT: LimitCommand,
    Verb.PAUSE: PauseCommand,
    Verb.RESUME: ResumeCommand,
    Verb.TARGET: TargetCommand,
    Verb.RELEASE: ReleaseCommand,
    Verb.ISOLATE: IsolateCommand,
}


def parse_command(verb: Verb, body: object) -> Command:
    """Read a command or raise `Refused` with every wrong field named."""
    try:
        return MODELS[verb].model_validate(body)
    except ValidationError as error:
        raise malformed(error, what=f"the command {verb.value}") from None


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of the commands and their answer, by topic name."""
    return {
        **{
            topics.COMMAND + verb.value: MODELS[verb].model_json_schema()
            for verb in Verb
            if verb not in LOCAL_ONLY
        },
        topics.COMMAND_RESPONSE: CommandResponseMessage.model_json_schema(by_alias=True),
    }
