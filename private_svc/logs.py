"""The log: one event a line on stdout, text for a terminal and JSON for a collector; nothing in it can break a line."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

from private_svc.line_writer import LineWriter

if TYPE_CHECKING:
    from typing import TextIO

WAITING_AT_MOST = 256  # lines

_LOGGER = logging.getLogger("private_svc")
_NUMBERS = (int, float)
_as_json = json.JSONEncoder(default=str).encode
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/[]@%+,*?&~")


def configure(log_format: str, stream: TextIO | None) -> None:
    """Send every log record to the file of `stream`, if there is one; `log_format` is auto, text or json."""
    text = log_format == "text" or (log_format == "auto" and stream is not None and stream.isatty())
    handler = logging.NullHandler() if stream is None else Handler(LineWriter(stream.fileno()))
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a record that cannot be shown must not turn every request into a traceback


class Handler(logging.Handler):
    """Writes each record as a line, and how many lines were lost before it.

    The lines of one turn of the event loop are written together, when it ends. Our own events are formatted then; a
    record of another logger is formatted at once, because its arguments may change until then.
    """

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self._lines = lines
        self._waiting: list[Event | str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record soon, if there is room."""
        try:
            self._waiting.append(record if isinstance(record, Event) else self.format(record))
            if len(self._waiting) == 1:
                asyncio.get_running_loop().call_soon(self.flush)
            elif len(self._waiting) >= WAITING_AT_MOST:
                self.flush()
        except RuntimeError:  # no event loop runs in this thread
            self.flush()
        except Exception:  # noqa: BLE001 - what a logging handler does
            self.handleError(record)

    def flush(self) -> None:
        """Write the lines that wait."""
        with self.lock or nullcontext():
            waiting, self._waiting = self._waiting, []
            lines = [it if isinstance(it, str) else self.format(it) for it in waiting]
            if self._lines.lost and self._lines.has_room():
                fields = {"lines": self._lines.lost, "reason": "nobody read them in time"}
                lines.insert(0, self.format(Event(logging.WARNING, "log lines lost", fields)))
            if lines:
                self._lines.write(*lines)


def flush() -> None:
    """Write what waits to be written, because this process is about to end."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def event(name: str, *, level: int = logging.INFO, exc_info: bool = False, **fields: object) -> None:
    """Log one event with its fields."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.handle(Event(level, name, fields, sys.exc_info() if exc_info else None))


class RateLimit:
    """Allows one line in `seconds`, of a kind that callers could cause in any number."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last_s = float("-inf")

    def allows(self) -> bool:
        """Tell whether a line may be logged now, and count it as logged."""
        now_s = time.monotonic()
        if now_s - self._last_s < self._seconds:
            return False
        self._last_s = now_s
        return True


class Event(logging.LogRecord):
    """A record of ours. It has no thread, process and line: looking for them costs time, and no format shows them."""

    def __init__(self, level: int, name: str, fields: dict[str, object], exc_info: object = None) -> None:
        now_s = time.time()
        self.__dict__ = _EMPTY | {
            "created": now_s,
            "msecs": now_s % 1 * 1000,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": name,
            "fields": fields,
            "exc_info": exc_info,
        }


_EMPTY = vars(logging.makeLogRecord({"name": _LOGGER.name, "args": ()}))


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    if record.exc_info and record.exc_info[0] is not None:
        return fields | {"traceback": formatter.formatException(record.exc_info)}
    return fields


def _time(record: logging.LogRecord) -> str:
    second, of_it = divmod(record.created, 1)
    return f"{_second(int(second))}.{int(of_it * 1000):03}Z"


@lru_cache(1)
def _second(since_epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_epoch))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        fields = [f', "{name}": {_in_json(value)}' for name, value in _fields(record, self).items()]
        event = _in_json(record.getMessage())
        head = f'{{"time": "{_time(record)}", "level": "{record.levelname.lower()}", "event": {event}'
        return f"{head}{''.join(fields)}}}"


def _in_json(value: object) -> str:
    """Return a value as JSON; of numbers `repr` is that, and quicker."""
    return repr(value) if type(value) in _NUMBERS else _as_json(value)


class TextFormatter(logging.Formatter):
    """Time, level, event, then `name=value`, quoted and escaped where a value is not plain."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        head = f"{_time(record)} {record.levelname.lower()} {quoted(record.getMessage(), also=' ')}"
        return " ".join([head, *(f"{name}={quoted(str(value))}" for name, value in _fields(record, self).items())])


def quoted(text: str, also: str = "") -> str:
    """Return `text` as it is when plain, else as a JSON string, in ASCII."""
    return text if text and _PLAIN.issuperset(text.replace(also, "") if also else text) else json.dumps(text)
