"""One event is one line of JSON on stderr, whatever somebody wrote into a pod's name.

JSON escapes newlines by itself; the rest is done here. Nothing unprintable survives (a log shown raw in a terminal must
not move its cursor, nor a right-to-left mark turn a name around), a lone surrogate does not lose the line, and each
field is bounded: the container runtime tears a line apart at 16 KiB.
"""

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]

LEVELS: dict[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

TEXT_LENGTH = 512
ITEMS = 40
ITEM_LENGTH = 160
LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
EXACT = 2**53  # Beyond it a reader that knows JavaScript's numbers only sees another one.


def configure(stream: TextIO = sys.stderr, level: Level = "info") -> None:
    """Send every event of structlog and of the standard library's logging to the stream."""
    global _outlet  # noqa: PLW0603 - logging is the process's
    threshold = LEVELS[level]
    _outlet = _Outlet(stream, threshold)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            bounded,
            line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers[:] = [_Standard()]
    logging.root.setLevel(threshold)


def info(event: str, **fields: object) -> None:
    """Write an event at level info as structlog would, in a third of the time: for what is said of every request."""
    if _outlet.threshold > logging.INFO:
        return
    for key, value in fields.items():
        if type(value) is str:
            plain = len(value) <= TEXT_LENGTH and value.isprintable()
        else:
            plain = type(value) is float
        if not plain:
            fields[key] = _field(key, value)
    # orjson writes a time as structlog's own TimeStamper does.
    told = {"time": datetime.now(UTC), "level": "info", "event": event, **fields}
    _outlet.write(orjson.dumps(told, option=LINE))


class _Outlet:
    """Where the lines go, and from which level on."""

    def __init__(self, stream: TextIO, threshold: int) -> None:
        self.threshold = threshold
        self._stream = stream
        self._buffer: BinaryIO | None = getattr(stream, "buffer", None)

    def write(self, text: bytes) -> None:
        if self._buffer is None:  # A stream of text alone.
            self._stream.write(text.decode())
            self._stream.flush()
        else:
            self._buffer.write(text)
            self._buffer.flush()


_outlet = _Outlet(sys.stderr, logging.INFO)


def bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make every field a number, a short printable text, or a short list of them. When and what comes first."""
    first = {key: event.pop(key, "") for key in ("time", "level", "event")}
    return {key: _field(key, value) for key, value in {**first, **event}.items()}


def line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render it; the logger adds the newline."""
    return orjson.dumps(event).decode()


def _field(key: str, value: object) -> object:
    if isinstance(value, str):
        if key == "exception":  # structlog's: a traceback, whose end says most.
            return _texts(value.splitlines()[-ITEMS:])
        return _text(value, TEXT_LENGTH)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < EXACT:
        return value
    if isinstance(value, list | tuple):
        return _texts(value[:ITEMS])
    return _text(str(value), TEXT_LENGTH)


def _texts(values: Iterable[object]) -> list[str]:
    return [_text(str(value), ITEM_LENGTH) for value in values]


def _text(value: str, length: int) -> str:
    if not value[:length].isprintable():
        value = "".join(char if char.isprintable() else _escape(char) for char in value[:length])
    return value if len(value) <= length else value[: length - 3] + "..."


def _escape(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char, f"\\u{ord(char):04x}")


class _Standard(logging.Handler):
    """What aiohttp and asyncio log, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # Arguments that do not fit the text: then it is the message.
            message = str(record.msg)
        log: Any = structlog.get_logger()
        level = max(logging.DEBUG, record.levelno // 10 * 10)
        log.log(level, message, logger=record.name, exc_info=record.exc_info)
