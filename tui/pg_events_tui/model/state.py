"""State of the console that is kept between sessions: a small private file for each database.

A file that is missing, broken, too large or of another version is ignored, with a message.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from platformdirs import user_state_path

VERSION: Final = 1
MAX_BYTES: Final = 256_000


def directory() -> Path:
    """Directory of the files: `$XDG_STATE_HOME/pg_events`, else `~/.local/state/pg_events`."""
    return user_state_path("pg_events")


def path_for(name: str, folder: Path | None = None) -> Path:
    """File of a database (or a saved log) by its name."""
    readable = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:40]
    return (folder or directory()) / f"console-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"


Values = Mapping[str, Any]
NOTHING: Final[Values] = {}


def load(path: Path) -> tuple[Values, str]:
    """Return the saved values and the reason of a failure; both are empty if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return {}, f"{path} is not a file; what was remembered is passed over"
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror}; what was remembered is passed over"
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("too large")  # noqa: TRY301 - one way out for all errors
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        return {}, f"{path} is broken; what was remembered is passed over"
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("version") != VERSION:
        return {}, f"{path} is of another version; what was remembered is passed over"
    return cast("Mapping[str, Any]", found), ""


def save(path: Path, values: Mapping[str, Any]) -> str:
    """Write the file atomically, with access for the user only. Returns the reason of a failure, else an empty text."""
    data = json.dumps({"version": VERSION, **values}).encode("ascii")
    if len(data) > MAX_BYTES:
        return f"more than {MAX_BYTES:,} bytes to remember"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".console-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:  # after Ctrl-C, too, no partial file may remain
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return ""


def text(values: Mapping[str, Any], name: str, default: str = "") -> str:
    """Return a text of the values, or the default for other types, as the functions below."""
    found = values.get(name)
    return found if isinstance(found, str) else default


def flag(values: Mapping[str, Any], name: str) -> bool:
    return values.get(name) is True


def texts(values: Mapping[str, Any], name: str) -> list[str]:
    found = values.get(name)
    return [one for one in cast("list[object]", found) if isinstance(one, str)] if isinstance(found, list) else []


def numbers(values: Mapping[str, Any], name: str) -> list[int]:
    found = values.get(name)
    return [one for one in cast("list[object]", found) if type(one) is int] if isinstance(found, list) else []


def part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
