"""The console's colours: calm grounds, few accents, each with a letter or a word beside it."""

from typing import Final

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

THEMES: Final = (DARK, LIGHT)
"""The first is the default."""
