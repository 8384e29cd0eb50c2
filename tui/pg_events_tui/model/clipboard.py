"""Copying: to the terminal's clipboard where it allows that, and always to a file."""

import os
from pathlib import Path
from typing import Final

TERMINAL_BYTES: Final = 74_994
"""What terminals take in one OSC 52 sequence; more would be dropped without a word."""


def default_path() -> Path:
    """`~/.cache/pg_events/copied`: the last copy."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "pg_events" / "copied"


def save(path: Path, data: bytes) -> str:
    """Write the copy for the user's eyes only. Returns why it could not be, else nothing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        return error.strerror or str(error)
    return ""
