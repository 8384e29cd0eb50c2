"""Drawing of lines with roles as strips of a terminal: the only place where the console makes segments."""

from collections.abc import Iterable
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip
from textual.widget import Widget

from pg_events_tui.text.lines import Span

ROLES: Final = (
    "label", "heading", "note", "null", "number", "new", "key", "strong", "good", "warning", "bad", "accent", "quiet",
    "added", "removed", "changed", "same", "schema", "cursor", "cursor-quiet", "tab", "match", "noted", "plot",
)  # fmt: skip
"""Roles; each is styled as `.role--<name>` in console.tcss."""


def readable_on(ground: str) -> str:
    """Return black or white, whichever is readable on the colour."""
    return Color.parse(ground).get_contrast_text(1.0).hex[:7]


class Painted(Widget):
    """Widget that draws lines itself."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"role--{role}" for role in ROLES}
    ALLOW_SELECT = False

    def role_style(self, role: str) -> Style:
        """Return the role's own colours, with the widget's for those that it does not set."""
        if role.startswith("on:"):  # a colour of a profile
            ground = role.removeprefix("on:")
            return Style(bgcolor=ground, color=readable_on(ground), bold=True)
        return self.get_component_rich_style(f"role--{role}", partial=True) if role else Style.null()

    def strip(self, parts: Iterable[Span], width: int, base: Style | None = None) -> Strip:
        """Return a row of an exact width. `base` is the style below every role."""
        ground = self.rich_style if base is None else self.rich_style + base
        segments = [Segment(text, ground + self.role_style(role) if role else ground) for text, role in parts if text]
        return Strip(segments).adjust_cell_length(width, ground)
