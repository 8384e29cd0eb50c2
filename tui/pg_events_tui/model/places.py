"""Where a console can be: databases of the settings, and saved logs. Pure."""

from dataclasses import dataclass
from pathlib import Path

from pg_events.config.settings import Settings


@dataclass(frozen=True)
class Place:
    """A database or a saved log, and how it is marked."""

    name: str = ""
    """That of its profile; empty when it has none."""
    settings: Settings | None = None
    log: Path | None = None
    label: str = ""
    colour: str = ""
    """As Textual reads it: `red`, `#cc3344`."""
    read_only: bool = False
    words: str = ""
    """Which database it is, for people."""


@dataclass(frozen=True)
class Places:
    """Where the console is, where it can go, and where it came from."""

    here: Place = Place()
    profiles: tuple[Place, ...] = ()
    back: Place | None = None
    """Where leaving leads to; None out of the console."""
