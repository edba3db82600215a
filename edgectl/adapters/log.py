"""Logging: structlog to one stream, JSON lines for the journal or `key=value` for a terminal.

Secrets are never written: a key whose name says that it holds one is replaced by its name alone.
"""

import logging
from collections.abc import Mapping
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES: Final = frozenset(
    {"password", "passwd", "secret", "token", "key", "private_key", "credentials", "jws"}
)
_HIDDEN: Final = "[hidden]"


def configure(*, stream: TextIO, readable: bool, level: int = logging.INFO) -> None:
    """Send all logging of the process, also that of libraries, to `stream`."""
    last = (
        structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True, repr_native_str=False
        )
        if readable
        else structlog.processors.JSONRenderer(default=str)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    # Every miss of a device comes back as a value and is told once, by its link owner.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be read in a journal, in nested mappings too."""
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: object) -> object:
    if name.lower() in _SECRET_NAMES:
        return _HIDDEN
    if isinstance(value, Mapping):
        return {inner: _hidden(str(inner), of) for inner, of in value.items()}
    return value
