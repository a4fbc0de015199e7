"""Logging: text for people, JSON lines for machines, and no secret in either.

Scrubbing and escaping happen in the formatters, where everything has become text, so that nothing gets around them:
message, arguments, fields, traceback.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
from typing_extensions import override

from aigateway_core.secret import Scrubber, Secret
from aigateway_core.settings import LogSettings

KnownSecrets = Callable[[], Iterable[Secret]]
"""The secrets that are in use now: they are scrubbed whatever their shape. The same object while they are the same."""

_LOUD = ("aiohttp", "asyncio", "httpcore", "httpx", "pony", "uvicorn")
"""Loggers of libraries that have nothing to tell below a warning."""

# C0, DEL and C1, line and paragraph separators, and the marks that reverse the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# JSON has escapes of its own for C0 alone.
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(
    settings: LogSettings, stream: TextIO | None = None, known: KnownSecrets = tuple, *, worker: int | None = None
) -> None:
    """Send everything that is logged to ``stream`` (standard error), in place of whatever was set up before.

    Of several workers each says its number.
    """
    stream = sys.stderr if stream is None else stream
    wants_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(known, worker) if wants_json else TextFormatter(known, worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # The standard handler of an error in logging prints the arguments of the call to standard error, unscrubbed.
    logging.raiseExceptions = False
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def escape(text: str) -> str:
    r"""``text`` with control characters spelled out (``\n``, ``\x1b``): it stays one line and moves no cursor."""
    return _CONTROL.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


class TextFormatter(logging.Formatter):
    """``12:34:56 WARNING logger: message  key=value …``; a traceback follows, indented.

    Of several workers each says its number: ``12:34:56 [2] WARNING …``.
    """

    def __init__(self, known: KnownSecrets = tuple, worker: int | None = None) -> None:
        super().__init__()
        self._scrubbers = _Scrubbers(known)
        self._worker = "" if worker is None else f"[{worker}] "

    @override
    def format(self, record: logging.LogRecord) -> str:
        scrub = self._scrubbers.current()
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        fields = "".join(f"  {key}={value}" for key, value in _fields(record).items())
        line = scrub(f"{time} {self._worker}{record.levelname} {record.name}: {_message(record)}{fields}")
        trace = scrub(_trace(record))
        return "\n".join([escape(line), *(f"  | {escape(text)}" for text in trace.split("\n") if text)])


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, known: KnownSecrets = tuple, worker: int | None = None) -> None:
        super().__init__()
        self._scrubbers = _Scrubbers(known)
        self._worker = {} if worker is None else {"worker": worker}

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._worker,
            "logger": record.name,
            "message": _message(record),
            **_fields(record),
        }
        if trace := _trace(record):
            line["traceback"] = trace
        return orjson.dumps(_scrubbed(line, self._scrubbers.current())).decode()


class _Scrubbers:
    """The scrubber for the secrets that are in use now, made again only when they are others."""

    def __init__(self, known: KnownSecrets) -> None:
        self._known = known
        self._secrets: Iterable[Secret] = ()
        self._scrubber = Scrubber()

    def current(self) -> Scrubber:
        secrets = self._known()
        if secrets is not self._secrets:
            self._secrets, self._scrubber = secrets, Scrubber(secrets)
        return self._scrubber


def _scrubbed(value: Any, scrub: Scrubber) -> Any:
    # Before encoding: a secret with a quote in it would not be found in the JSON text, and a mask could break it.
    if isinstance(value, Mapping):
        return {_scrubbed(str(key), scrub): _scrubbed(inner, scrub) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(inner, scrub) for inner in value]
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 53):
        return value
    return _CONTROL_IN_JSON.sub(_spelled, scrub(str(value).encode("utf-8", "replace").decode()))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (logged with arguments that do not fit)"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """What was logged besides the message, with ``extra={"fields": {…}}``."""
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, Mapping) else {}


_TRACES = logging.Formatter()


def _trace(record: logging.LogRecord) -> str:
    parts = [record.exc_text or (_TRACES.formatException(record.exc_info) if record.exc_info else "")]
    if record.stack_info:
        parts.append(_TRACES.formatStack(record.stack_info))
    return "\n".join(part for part in parts if part)
