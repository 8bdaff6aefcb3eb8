"""The log: one event a line on stdout, text for a terminal and JSON for a collector; nothing in it can break a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_LOGGER = logging.getLogger("private_svc")
_as_json = json.JSONEncoder(default=str).encode
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/[]@%+,*?&~")


def configure(log_format: str, stream: TextIO) -> None:
    """Send every log record to `stream`; `log_format` is auto, text or json."""
    text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a reader that went away must not turn every request into a traceback


def event(name: str, *, level: int = logging.INFO, exc_info: bool = False, **fields: object) -> None:
    """Log one event with its fields."""
    if _LOGGER.isEnabledFor(level):
        raised = sys.exc_info() if exc_info else None
        # Not `log`: it would look through the stack for the line that called, which no format of ours shows.
        record = _LOGGER.makeRecord(_LOGGER.name, level, "", 0, name, (), raised, extra={"fields": fields})
        _LOGGER.handle(record)


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    if record.exc_info and record.exc_info[0] is not None:
        return fields | {"traceback": formatter.formatException(record.exc_info)}
    return fields


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        head = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return _as_json(head | _fields(record, self))


class TextFormatter(logging.Formatter):
    """Time, level, event, then `name=value`, quoted and escaped where a value is not plain."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        head = f"{_time(record)} {record.levelname.lower()} {quoted(record.getMessage(), also=' ')}"
        return " ".join([head, *(f"{name}={quoted(str(value))}" for name, value in _fields(record, self).items())])


def quoted(text: str, also: str = "") -> str:
    """Return `text` as it is when plain, else as a JSON string, in ASCII."""
    return text if text and _PLAIN.issuperset(text.replace(also, "") if also else text) else json.dumps(text)
