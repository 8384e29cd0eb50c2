"""Places that a console can show: databases of the settings, and saved logs. Pure."""

from dataclasses import dataclass
from pathlib import Path

from pg_events.config.settings import Settings


@dataclass(frozen=True)
class Place:
    """Database or saved log, and its label."""

    name: str = ""
    """Name of the profile; empty without one."""
    settings: Settings | None = None
    log: Path | None = None
    label: str = ""
    colour: str = ""
    """Colour in Textual's notation: `red`, `#cc3344`."""
    read_only: bool = False
    words: str = ""
    """Description of the database for the user."""


@dataclass(frozen=True)
class Places:
    """Current place of the console, other places, and the previous one."""

    here: Place = Place()
    profiles: tuple[Place, ...] = ()
    back: Place | None = None
    """Previous place, to return to; None to quit the console."""
