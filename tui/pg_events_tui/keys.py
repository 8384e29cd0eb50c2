"""Every key of the console, in one table: the bindings, the key rows, the help and the palette are made from it.

A key means the same on every screen. A key that asks for a confirmation is never the key that confirms.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

EVERYWHERE: Final = ("live", "coverage", "schema", "replay")
EVENTS: Final = ("live", "schema")


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a key does."""

    id: str
    """Under which it can be given another key."""
    keys: str
    """As Textual calls them, separated by commas."""
    shown: str
    """As people call them."""
    action: str
    label: str
    """One or two words for the key rows."""
    help: str
    """A sentence for the help, the palette and the tooltip."""
    screens: tuple[str, ...] = EVERYWHERE
    row: int = 0
    """In which key row it stands, 1 or 2; 0 is in the help only."""
    widget: bool = False
    """Bound by the list, not by the screen."""


KEYS: Final[tuple[Key, ...]] = (
    # ---- moving
    Key("list.down", "j,down", "j ↓", "move(1)", "down", "Select the next row.", widget=True),
    Key("list.up", "k,up", "k ↑", "move(-1)", "up", "Select the row before.", widget=True),
    Key("list.page-down", "pagedown,ctrl+f", "PgDn", "page(1)", "page down", "Go on by a page.", widget=True),
    Key("list.page-up", "pageup", "PgUp", "page(-1)", "page up", "Go back by a page.", widget=True),
    Key("list.half-down", "ctrl+d", "ctrl+d", "page(0.5)", "half down", "Go on by half a page.", widget=True),
    Key("list.half-up", "ctrl+u", "ctrl+u", "page(-0.5)", "half up", "Go back by half a page.", widget=True),
    Key("list.first", "g,home", "g Home", "first", "first", "Go to the first row.", widget=True),
    Key("list.last", "G,end", "G End", "last", "last", "Go to the last row; in a list of events, follow the newest."),
    # ---- events
    Key("events.open", "enter", "⏎", "open", "detail", "Show the selected row in full.", row=1),
    Key("events.next", "right", "→", "step(1)", "next", "Show the next event, without leaving the detail.", EVENTS),
    Key("events.previous", "left", "←", "step(-1)", "previous", "Show the event before.", EVENTS),
    Key(
        "events.filter",
        "slash",
        "/",
        "filter",
        "filter",
        "Show only what matches; type ? there for the words.",
        ("live", "schema", "coverage"),
        1,
    ),
    Key(
        "events.filters",
        "F",
        "F",
        "toggle_filter",
        "filter on/off",
        "Take the filter off, or put it back; the selected row stays.",
        ("live", "schema", "coverage"),
    ),
    Key(
        "events.face",
        "d",
        "d",
        "face",
        "diff/new/old",
        "Go on to the next face: Diff, New, Old, JSON, SQL.",
        EVENTS,
        1,
    ),
    Key(
        "replay.face",
        "d",
        "d",
        "face",
        "result/output",
        "Go on to the next face: Result, Output, Payload.",
        ("replay",),
        1,
    ),
    Key("events.fold", "u", "u", "fold", "unchanged", "Show or hide unchanged columns.", EVENTS, 1),
    Key(
        "events.replay",
        "r",
        "r",
        "replay",
        "replay",
        "Run the selected event through your callback again; asks first.",
        ("live", "schema", "replay"),
        1,
    ),
    Key("events.mark", "m", "m", "mark", "mark", "Mark the selected event, or take its mark away.", EVENTS, 1),
    Key("events.transaction", "T", "T", "transaction", "tx", "Show only the selected event's transaction.", EVENTS, 1),
    Key("events.copy", "y", "y", "copy", "copy", "Copy the selected row as JSON.", EVERYWHERE, 1),
    # ---- the view
    Key(
        "view.pause",
        "space",
        "space",
        "pause",
        "pause",
        "Hold the list still, or go on. Events are still taken in.",
        EVENTS,
        2,
    ),
    Key("view.follow", "", "G", "last", "follow", "Follow the newest event.", EVENTS, 2),
    Key("view.zoom", "z", "z", "zoom", "zoom", "Give the whole width to one pane.", EVERYWHERE, 2),
    Key(
        "schema.live", "L", "L", "show_in_live", "in Live", "Show this event among the others, in Live.", ("schema",), 2
    ),
    # ---- coverage
    Key(
        "coverage.problems",
        "u",
        "u",
        "problems",
        "problems only",
        "Show or hide the tables that are fine.",
        ("coverage",),
        1,
    ),
    Key(
        "coverage.plan",
        "b",
        "b",
        "plan",
        "plan table",
        "Plan the build for the selected table; nothing is done yet.",
        ("coverage",),
        1,
    ),
    Key(
        "coverage.plan-all",
        "B",
        "B",
        "plan_all",
        "plan all",
        "Plan the build for the whole database; nothing is done yet.",
        ("coverage",),
        1,
    ),
    Key(
        "coverage.events", "E", "E", "table_events", "its events", "Show this table's events in Live.", ("coverage",), 1
    ),
    # ---- replay
    Key("replay.kill", "x", "x", "kill", "kill", "End the callback that is running.", ("replay",), 1),
    # ---- everywhere
    Key("screen.live", "1", "1", "screen('live')", "Live", "The events as they happen."),
    Key("screen.coverage", "2", "2", "screen('coverage')", "Coverage", "Which tables are captured, and building it."),
    Key("screen.schema", "3", "3", "screen('schema')", "Schema", "What DDL ran."),
    Key("screen.replay", "4", "4", "screen('replay')", "Replay", "Events run through your callbacks again."),
    Key("screen.any", "", "1-4", "", "screens", "Go to a screen.", EVERYWHERE, 2),
    Key("pane.next", "tab", "tab", "app.focus_next", "pane", "Go to the next pane.", EVERYWHERE, 2),
    Key("pane.previous", "shift+tab", "shift+tab", "app.focus_previous", "pane back", "Go to the pane before."),
    Key(
        "link.now",
        "R",
        "R",
        "reconnect",
        "reconnect",
        "Try to connect now; on Coverage, also ask again.",
        EVERYWHERE,
        2,
    ),
    Key(
        "app.palette", "colon,ctrl+p", ":", "app.command_palette", "commands", "Find a command by name.", EVERYWHERE, 2
    ),
    Key("app.help", "question_mark,f1", "?", "help", "keys", "All keys, and the filter's words.", EVERYWHERE, 2),
    Key("app.leave", "escape", "esc", "leave", "leave", "Leave what is open: zoom, filter, pause."),
    Key("app.back", "q", "q", "back", "back", "Back to Live; from there, quit (asks).", EVERYWHERE, 2),
    Key("app.quit", "ctrl+q,ctrl+c", "ctrl+q", "quit_now", "quit", "Quit without asking."),
)


def on_screen(screen: str) -> Iterable[Key]:
    """The keys that mean something there, in the table's order."""
    return (key for key in KEYS if screen in key.screens)


def bindings(screen: str) -> list[Binding]:
    """For a screen's `BINDINGS`."""
    return [_binding(key) for key in on_screen(screen) if key.keys and not key.widget]


def list_bindings() -> list[Binding]:
    """For the `BINDINGS` of a list."""
    return [_binding(key) for key in KEYS if key.widget]


def _binding(key: Key) -> Binding:
    return Binding(key.keys, key.action, key.label, show=False, key_display=key.shown, tooltip=key.help, id=key.id)
