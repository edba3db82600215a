"""The values that a site file is made of, and what is said of a wrong one."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$"
TIME_PATTERN: Final = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
PERCENT_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?%$"
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FORMS: Final = {
    ID_PATTERN: ("a name", "use letters, digits and - _ . : and begin with a letter or digit"),
    TIME_PATTERN: (
        "a time of day",
        'write hours and minutes with two digits each, such as "07:30"',
    ),
    PERCENT_PATTERN: ("a percentage", "write a number with the sign %, such as 40%"),
}
"""What a text must be, for people, and what to do."""


def _no_secret(value: str) -> str:
    """Refuse the secret itself where its file is asked for; the message does not repeat it."""
    if "-----BEGIN" in value or "\n" in value:
        raise PydanticCustomError(
            "secret_inline",
            "this is the content of a key or certificate, not the name of a file",
            {"remedy": "put it into a file that only the service may read and name that file here"},
        )
    return value


def _no_credentials(value: str) -> str:
    """Refuse `user:password@host` and `scheme://host`; the message does not repeat them."""
    if "@" in value:
        raise PydanticCustomError(
            "secret_inline",
            "a host name with a user or password in it",
            {"remedy": "write the host alone; the gateway shows its certificate instead"},
        )
    if "/" in value or " " in value:
        raise PydanticCustomError(
            "bad_text",
            "not a host name or address",
            {"remedy": "write the host alone, such as 10.0.0.21, without http:// or a path"},
        )
    return value


def distinct(value: list[Any]) -> list[Any]:
    """Refuse a list that names something twice."""
    if len(set(value)) != len(value):
        raise PydanticCustomError(
            "duplicate_value",
            "a value stands twice in this list",
            {"remedy": "name each one once"},
        )
    return value


def _moment(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PydanticCustomError(
            "bad_time",
            "not a time with its offset",
            {"remedy": 'write it in quotes, such as "2026-03-01T06:00:00Z"'},
        )
    return value


Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]
Host = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_no_credentials)]
Port = Annotated[int, Field(ge=1, le=65535)]
FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_no_secret)]
Current = Annotated[float, Field(ge=0, le=100_000)]
Power = Annotated[float, Field(ge=0, le=1_000_000)]
Apparent = Annotated[float, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Triple = Annotated[list[Current], Field(min_length=3, max_length=3)]
OptionalTriple = Annotated[list[Current | None], Field(min_length=3, max_length=3)]
PhaseNumber = Annotated[int, Field(ge=1, le=3)]
Phases = Annotated[list[PhaseNumber], Field(min_length=1, max_length=3), AfterValidator(distinct)]
TimeOfDay = Annotated[str, Field(pattern=TIME_PATTERN)]
Days = Annotated[
    list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
    Field(min_length=1),
    AfterValidator(distinct),
]
Moment = Annotated[str, AfterValidator(_moment)]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN)]


class Entry(BaseModel):
    """What all entries share: no unknown key, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


BY_ALIAS: Final = ConfigDict(
    extra="forbid",
    strict=True,
    frozen=True,
    allow_inf_nan=False,
    validate_by_name=False,
    validate_by_alias=True,
)
"""For entries with a key, such as `from`, that Python keeps for itself."""
