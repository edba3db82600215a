"""The JSON Schemas of everything that goes in and out, by the name that `edgectl schema` takes."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from edgectl.contract import allocate, commands, dr, dr_report, messages, reports
from edgectl.contract.explain import Why
from edgectl.contract.local import ErrorAnswer, Health, Message, Status
from edgectl.contract.local_tool import (
    DevicesAnswer,
    EventsAnswer,
    RegisterAnswer,
    ReloadAnswer,
    WriteAnswer,
)

_LOCAL: Final[Mapping[str, type[Message]]] = {
    "status": Status,
    "why": Why,
    "health": Health,
    "error": ErrorAnswer,
    "events": EventsAnswer,
    "devices": DevicesAnswer,
    "read": RegisterAnswer,
    "write": WriteAnswer,
    "reload": ReloadAnswer,
}

_PUBLISHED: Final[tuple[Callable[[], Mapping[str, dict[str, Any]]], ...]] = (
    messages.schemas,
    reports.schemas,
    commands.schemas,
    dr.schemas,
    dr_report.schemas,
)


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema: `allocate/...`, `local/...` over the socket, `mqtt/...` by topic."""
    named = {f"local/{name}": model.model_json_schema() for name, model in _LOCAL.items()}
    named |= {f"allocate/{name}": schema for name, schema in allocate.schemas().items()}
    for published in _PUBLISHED:
        named |= {f"mqtt/{name}": _open(schema) for name, schema in published().items()}
    return named


def _open(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Leave room for fields that a later version adds: who reads messages must bear them."""
    if isinstance(schema, dict):
        return {
            key: _open(part)
            for key, part in schema.items()
            if not (key == "additionalProperties" and part is False)
        }
    return [_open(part) for part in schema] if isinstance(schema, list) else schema
