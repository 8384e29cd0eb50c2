"""Copies text to the terminal's clipboard, if it allows that, and always to a file."""

import os
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

TERMINAL_BYTES: Final = 74_994
"""Maximum size of an OSC 52 sequence in terminals, which silently drop more."""


def default_path() -> Path:
    """Path of the last copy: `~/.cache/pg_events/copied`."""
    return user_cache_path("pg_events") / "copied"


def save(path: Path, data: bytes) -> str:
    """Write the copy with access for the user only. Returns the reason of a failure, else an empty text."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        return error.strerror or str(error)
    return ""
