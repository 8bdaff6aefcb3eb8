"""The log: one event a line on stdout, text for a terminal and JSON for a collector; nothing in it can break a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from private_svc.line_writer import LineWriter

if TYPE_CHECKING:
    from typing import TextIO

_LOGGER = logging.getLogger("private_svc")
_as_json = json.JSONEncoder(default=str).encode
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/[]@%+,*?&~")


def configure(log_format: str, stream: TextIO | None) -> None:
    """Send every log record to the file of `stream`, if there is one; `log_format` is auto, text or json."""
    text = log_format == "text" or (log_format == "auto" and stream is not None and stream.isatty())
    handler = logging.NullHandler() if stream is None else Handler(LineWriter(stream.fileno()))
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.INFO)
    # No format of ours shows the thread, the process or the task, so no record looks them up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    logging.raiseExceptions = False  # a record that cannot be shown must not turn every request into a traceback


class Handler(logging.Handler):
    """Writes each record as a line, and how many lines were lost before it."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, if there is room."""
        try:
            line = self.format(record)
            if self._lines.lost and self._lines.has_room():
                fields = {"lines": self._lines.lost, "reason": "nobody read them in time"}
                self._lines.write(self.format(_record(logging.WARNING, "log lines lost", fields)))
            self._lines.write(line)
        except Exception:  # noqa: BLE001 - what a logging handler does
            self.handleError(record)


def event(name: str, *, level: int = logging.INFO, exc_info: bool = False, **fields: object) -> None:
    """Log one event with its fields."""
    if _LOGGER.isEnabledFor(level):
        record = _record(level, name, fields)
        if exc_info:
            record.exc_info = sys.exc_info()
        _LOGGER.handle(record)


def _record(level: int, name: str, fields: dict[str, object]) -> logging.LogRecord:
    """Make a record, without looking through the stack for the line that called, which no format of ours shows."""
    return _LOGGER.makeRecord(_LOGGER.name, level, "", 0, name, (), None, extra={"fields": fields})


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
