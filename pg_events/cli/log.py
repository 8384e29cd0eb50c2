"""Log lines on stderr, safe for a terminal: text, or one JSON object per line."""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click

from pg_events.callbacks.callback import TRACEBACK_CHARACTERS, bounded
from pg_events.cli.terminal import say
from pg_events.db.connection import mask
from pg_events.errors import PgEventsError
from pg_events.text import one_line

log = logging.getLogger("pg_events")

FIELDS: Final = (
    "callback", "event_id", "table", "attempt", "seconds", "error", "delivered", "failed", "retried", "held",
)  # fmt: skip
"""Names of the optional fields of a log line, as given by `extra=`, and `traceback`."""
_CHARACTERS: Final = 4_000
"""Maximum length of a text other than a traceback; of a longer one the beginning and the end are kept."""


def set_up_log(verbose: bool, form: str, database_url: str = "", about: Mapping[str, str] | None = None) -> None:
    """Log pg_events to stderr from INFO, or DEBUG, upwards; `form` is text or json.

    The password of `database_url` never appears. `about` holds fields of every JSON line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json(database_url, about or {}) if form == "json" else _Text(database_url))
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False


def tell(text: str, level: int = logging.INFO, **fields: object) -> None:
    """Print a message of the command itself, as a JSON line if the log is JSON."""
    if _is_json():
        log.log(level, "%s", text, extra=fields)
    else:
        say(f"pg_events: {text}" if level >= logging.ERROR else text)


@contextmanager
def ending_told() -> Generator[None]:
    """Log the error that ends the command as a JSON line if the log is JSON."""
    try:
        yield
    except PgEventsError as error:
        if not _is_json():
            raise
        log.critical("%s", error, extra={"error": type(error).__name__})
        raise click.exceptions.Exit(error.exit_code) from error
    except Exception as error:  # a bug: logged like all other lines, with its traceback
        if not _is_json():
            raise
        log.critical("ended by a bug", exc_info=True, extra={"error": type(error).__name__})
        raise click.exceptions.Exit(1) from error


def _is_json() -> bool:
    return any(isinstance(handler.formatter, _Json) for handler in log.handlers)


class _Formatter(logging.Formatter):
    def __init__(self, database_url: str) -> None:
        super().__init__()
        self._database_url = database_url

    def _message(self, record: logging.LogRecord) -> str:
        return one_line(self._harmless(record.getMessage()))

    def _traceback(self, record: logging.LogRecord) -> str | None:
        """Traceback of a failed callback, or of the exception attached to a log record."""
        trace: str | None = getattr(record, "traceback", None)
        if trace is None and record.exc_info:
            trace = self.formatException(record.exc_info)
        return self._harmless(trace, TRACEBACK_CHARACTERS).rstrip() if trace else None

    def _harmless(self, text: str, characters: int = _CHARACTERS) -> str:
        return bounded(mask(text, self._database_url), characters)


class _Text(_Formatter):
    """Formatter of `2026-11-24 09:40:00,123 INFO consumer default: delivering`, with tracebacks on separate lines."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {self._message(record)}"
        trace = self._traceback(record)
        return f"{line}\n{trace}" if trace else line


class _Json(_Formatter):
    """Formatter of `{"at": "2026-11-24T09:40:00.123456+00:00", "level": "info", "logger": …, "message": …}`.

    Adds the fields that apply. ASCII only, whatever the encoding of stderr.
    """

    def __init__(self, database_url: str, about: Mapping[str, str]) -> None:
        super().__init__(database_url)
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            **self._about,
            **{name: getattr(record, name, None) for name in FIELDS},
        }
        told = {name: self._harmless(value) if isinstance(value, str) else value for name, value in fields.items()}
        told["traceback"] = self._traceback(record)
        return json.dumps({name: value for name, value in told.items() if value is not None})
