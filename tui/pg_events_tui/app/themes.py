"""Colours of the console: calm backgrounds, few accents, each with a letter or a word beside it."""

from collections.abc import Collection, Mapping
from typing import Final

from rich.console import Console
from textual.color import Color
from textual.theme import Theme

DARK: Final = Theme(
    name="pg-events-dark",
    dark=True,
    primary="#7aa2f7",
    secondary="#7dcfff",
    accent="#7dcfff",
    foreground="#c8d0e0",
    background="#11141b",
    surface="#161a23",
    panel="#2a3040",
    success="#8fce7a",
    warning="#e3b76a",
    error="#f0788c",
    boost="#1c2130",
    variables={"quiet": "#7d879c", "role-schema": "#bb9af7", "cursor": "#2a3350", "cursor-quiet": "#1f2536"},
)

LIGHT: Final = Theme(
    name="pg-events-light",
    dark=False,
    primary="#2a5db0",
    secondary="#0b7285",
    accent="#0b7285",
    foreground="#20242c",
    background="#fafafa",
    surface="#f2f3f5",
    panel="#cfd4dc",
    success="#2b7a1f",
    warning="#96610a",
    error="#b3233c",
    boost="#e8eaee",
    variables={"quiet": "#646c7a", "role-schema": "#6f42c1", "cursor": "#d5e0f5", "cursor-quiet": "#e4e8ef"},
)

CONTRAST: Final = Theme(
    name="pg-events-contrast",
    dark=True,
    primary="#6cc7ff",
    secondary="#7ff0ff",
    accent="#7ff0ff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#c8c8c8",
    success="#5dff5d",
    warning="#ffe14d",
    error="#ff9a9a",
    boost="#1c1c1c",
    variables={"quiet": "#d6d6d6", "role-schema": "#e6b3ff", "cursor": "#0047b3", "cursor-quiet": "#333333"},
)
"""Theme with a contrast of at least seven to one for every text."""

THEMES: Final = (DARK, LIGHT, CONTRAST)
"""Themes; the first is the default."""


_OF_16: Final = "ansi-dark"
"""Theme of the terminal's own palette."""


def default(available: Collection[str]) -> str:
    """Return the initial theme. With sixteen colours, ours would be all white, so it is the terminal's own palette."""
    has_16 = Console(stderr=True).color_system == "standard"
    return _OF_16 if has_16 and _OF_16 in available else THEMES[0].name


def readable(available: Mapping[str, Theme], *, colours: bool) -> dict[str, Theme]:
    """Return the readable themes: without colours, those of the terminal's own palette are black on black."""
    return {name: theme for name, theme in available.items() if colours or "ansi" not in name}


def made_up(theme: Theme) -> dict[str, str]:
    """Derive the variables that only our themes define from the colours of another theme."""
    if theme.ansi:
        return {
            "quiet": "ansi_bright_black",
            "role-schema": "ansi_magenta",
            "cursor": "ansi_blue",
            "cursor-quiet": "ansi_black",
        }
    own = theme.to_color_system().generate()
    ground, text, primary = (Color.parse(own[name]) for name in ("background", "foreground", "primary"))
    return {
        "quiet": text.blend(ground, 0.25).hex6,
        "role-schema": own["accent"],
        "cursor": ground.blend(primary, 0.3).hex6,
        "cursor-quiet": ground.blend(primary, 0.15).hex6,
    }
