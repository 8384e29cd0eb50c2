"""The SQL that is run or installed: one object or one question a file, read as it stands.

Files of questions have numbered parameters (`$1`), so that they run in psql too, and through `psycopg.RawCursor` here.
"""

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_FOLDER = files(__package__ or "pg_events.sql")


@cache
def text(name: str) -> LiteralString:
    """The text of one packaged file, for example `text("window.sql")`.

    What ships in the package is as literal as what stands in the code: this is the one place that says so.
    """
    return cast("LiteralString", _FOLDER.joinpath(name).read_text("utf-8"))


@cache
def names(folder: str) -> tuple[str, ...]:
    """The files of a folder in their order, for example `migrations/0001_log.sql`."""
    found = (entry.name for entry in _FOLDER.joinpath(folder).iterdir() if entry.name.endswith(".sql"))
    return tuple(f"{folder}/{name}" for name in sorted(found))
