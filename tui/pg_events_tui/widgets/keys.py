"""All keys of the console, in one table: the source of bindings, key rows, help and palette.

A key means the same on every screen. A key that asks for a confirmation is never the key that confirms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from textual.binding import Binding
from textual.keys import Keys

from pg_events.errors import UsageError

EVERYWHERE: Final = ("live", "coverage", "schema", "replay", "health")
EVENTS: Final = ("live", "schema")
REPLAY: Final = ("replay",)
LISTS: Final = ("live", "schema", "coverage")

ANYWHERE: Final = {"app.quit": "ctrl+q", "app.palette": "ctrl+p"}
"""Keys that also work in dialogs and fields; not `ctrl+c`, which copies there."""
_NAMED: Final = frozenset(str(key.value) for key in Keys)


@dataclass(frozen=True, slots=True)
class Key:
    """Action of a key."""

    id: str
    """Id by which the key can be remapped."""
    keys: str
    """Keys in Textual's notation, separated by commas."""
    shown: str
    """Key as shown to the user."""
    action: str
    label: str
    """Label of one or two words for the key rows."""
    help: str
    """Sentence for the help, the palette and the tooltip."""
    screens: tuple[str, ...] = EVERYWHERE
    row: int = 0
    """Number of its key row, 1 or 2; 0 is in the help only."""
    widget: bool = False
    """True if bound by the list instead of the screen."""


KEYS: Final[tuple[Key, ...]] = (
    # ---- moving
    Key("list.down", "j,down", "j ↓", "move(1)", "down", "Select the next row.", widget=True),
    Key("list.up", "k,up", "k ↑", "move(-1)", "up", "Select the row before.", widget=True),
    Key("list.page-down", "pagedown", "PgDn", "page(1)", "page down", "Go on by a page.", widget=True),
    Key("list.page-up", "pageup", "PgUp", "page(-1)", "page up", "Go back by a page.", widget=True),
    Key("list.half-down", "ctrl+d", "ctrl+d", "page(0.5)", "half down", "Go on by half a page.", widget=True),
    Key("list.half-up", "ctrl+u", "ctrl+u", "page(-0.5)", "half up", "Go back by half a page.", widget=True),
    Key("list.first", "g,home", "g Home", "first", "first", "Go to the first row.", widget=True),
    Key("list.last", "G,end", "G End", "last", "last", "Go to the last row; in a list of events, follow the newest."),
    # ---- replay
    Key("replay.play", "space", "space", "play", "play/pause", "Play, or pause before the next event.", REPLAY, 1),
    Key("replay.step", "full_stop", ".", "step", "step", "Deliver the next event, then wait.", REPLAY, 1),
    Key("replay.skip", "greater_than_sign", ">", "skip", "skip", "Pass over the next event.", REPLAY, 1),
    Key("replay.back", "comma", ",", "step_back", "back", "Make the event before the next one.", REPLAY, 1),
    Key(
        "replay.stop",
        "x",
        "x",
        "stop",
        "stop",
        "Finish the event in hand and stop; once more: kill its process.",
        ("replay",),
        1,
    ),
    Key(
        "replay.real",
        "exclamation_mark",
        "!",
        "real",
        "real run",
        "Leave the plan and call the callbacks; asks first.",
        ("replay",),
        1,
    ),
    Key(
        "replay.rerun",
        "r",
        "r",
        "rerun",
        "rerun",
        "Run the selected event again, with the code as it is now.",
        ("replay",),
        1,
    ),
    Key(
        "replay.failed",
        "A",
        "A",
        "rerun_failed",
        "rerun failed",
        "Run again what failed, with the code as it is now.",
        ("replay",),
        1,
    ),
    Key(
        "replay.edit",
        "e",
        "e",
        "edit",
        "edit",
        "Edit a copy of the selected event in $EDITOR; the original stays.",
        ("replay",),
        1,
    ),
    Key(
        "replay.face",
        "d",
        "d",
        "face",
        "next face",
        "Go on to the next face: Result, Output, Payload, Edit, Compare.",
        ("replay",),
        1,
    ),
    Key("replay.source", "S", "S", "source", "source", "Choose what is to be replayed.", REPLAY, 2),
    Key("replay.target", "t", "t", "target", "target", "Choose the callback.", REPLAY, 2),
    Key("replay.speed", "", "+ -", "speed(1)", "speed", "", REPLAY, 2),
    Key("replay.errors", "a", "a", "on_error", "at errors", "Stop at an error, or go on.", REPLAY, 2),
    Key(
        "replay.runs",
        "v",
        "v",
        "runs",
        "kept runs",
        "Open a run that was kept, of this console or of pg_events replay.",
        ("replay",),
        2,
    ),
    Key(
        "replay.compare",
        "c",
        "c",
        "compare",
        "compare",
        "Compare with another run: what works now, what fails now.",
        ("replay",),
        2,
    ),
    Key("replay.only", "f", "f", "failed_only", "failed only", "Show only what failed, or all again.", REPLAY, 2),
    Key("replay.here", "p", "p", "next_here", "next is here", "Make the selected event the next one.", REPLAY, 0),
    Key(
        "replay.faster",
        "plus",
        "+",
        "speed(1)",
        "faster",
        "Play faster; at the end of the scale as fast as the callbacks are.",
        ("replay",),
        0,
    ),
    Key(
        "replay.slower",
        "minus",
        "-",
        "speed(-1)",
        "slower",
        "Play slower, and with the pauses of the original.",
        ("replay",),
        0,
    ),
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
        (*LISTS, "replay"),
        1,
    ),
    Key(
        "events.filters",
        "F",
        "F",
        "toggle_filter",
        "filter on/off",
        "Take the filter off, or put it back; the selected row stays.",
        LISTS,
    ),
    Key(
        "events.face",
        "d",
        "d",
        "face",
        "diff/split",
        "Go on to the next face: Diff, Split, JSON, SQL.",
        EVENTS,
        1,
    ),
    Key(
        "events.replay",
        "r",
        "r",
        "replay",
        "replay",
        "Plan to run the selected event (or what is marked) through your callback again.",
        EVENTS,
        1,
    ),
    Key("events.mark", "m", "m", "mark", "mark", "Mark the selected event, or take its mark away.", EVENTS, 1),
    Key("events.marked", "M", "M", "marked", "marked only", "Show only marked events, or all again.", EVENTS),
    Key("events.copy", "y", "y", "copy", "copy", "Copy what is selected; asks in which form.", EVERYWHERE, 1),
    Key("events.write", "w", "w", "write", "write", "Write events to a file: shown, marked or selected.", EVENTS, 1),
    Key(
        "filter.include",
        "equals_sign",
        "=",
        "by_value(True)",
        "by value",
        "Show only events with a value of the selected one; asks which.",
        EVENTS,
    ),
    Key(
        "filter.exclude",
        "number_sign",
        "#",
        "by_value(False)",
        "without",
        "Leave out events with a value of the selected one; asks which.",
        EVENTS,
    ),
    Key("find.open", "ctrl+f", "ctrl+f", "find", "find", "Look for events without hiding the others.", EVENTS, 2),
    Key("find.next", "n", "n", "find_next(1)", "next match", "Go to the next match.", EVENTS),
    Key("find.previous", "N", "N", "find_next(-1)", "match before", "Go to the match before.", EVENTS),
    Key(
        "events.goto",
        "at",
        "@",
        "goto",
        "go to",
        "Go to a time (14:01:07, 5m) or to an event's number (#184220).",
        EVENTS,
        2,
    ),
    Key(
        "row.previous",
        "left_square_bracket",
        "[",
        "row_history(-1)",
        "row before",
        "Go to the event before of the same row, or of the same object.",
        EVENTS,
    ),
    Key(
        "row.next",
        "right_square_bracket",
        "]",
        "row_history(1)",
        "row after",
        "Go to the next event of the same row, or of the same object.",
        EVENTS,
    ),
    Key("filter.value", "", "= #", "by_value(True)", "by value", "", EVENTS, 1),
    Key("row.history", "", "[ ]", "row_history(1)", "row hist", "", EVENTS, 1),
    Key("events.fold", "u", "u", "fold", "unchanged", "Show or hide what did not change.", EVENTS, 1),
    Key("events.transaction", "T", "T", "transaction", "tx", "Show only the selected event's transaction.", EVENTS, 1),
    Key(
        "events.sort",
        "s",
        "s",
        "sort",
        "sort",
        "Sort what is shown by a column, or by the order of the log.",
        (*LISTS, "health"),
        2,
    ),
    Key("events.columns", "c", "c", "columns", "columns", "Choose the columns and their order.", EVENTS, 2),
    Key(
        "events.coverage",
        "C",
        "C",
        "coverage",
        "coverage",
        "Show whether this event's table is captured.",
        EVENTS,
        2,
    ),
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
        "Plan the build for the selected table, or for what is marked; nothing is done yet.",
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
        "coverage.exclude",
        "X",
        "X",
        "exclude",
        "exclude",
        "Leave the selected table out, or what is marked, or take it in again: plans it first.",
        ("coverage",),
        1,
    ),
    Key("coverage.mark", "m", "m", "mark", "mark", "Mark the selected table, or take its mark away.", ("coverage",), 1),
    Key(
        "coverage.events",
        "L",
        "L",
        "table_events",
        "in Live",
        "Show this table's events in Live.",
        ("coverage", "health"),
        1,
    ),
    # ---- health
    Key("health.face", "d", "d", "face", "next list", "Go on: Rates, Failed, Consumers, Transactions.", ("health",), 1),
    Key(
        "health.retry",
        "r",
        "r",
        "retry",
        "retry",
        "Have the worker deliver the selected failed event again; asks first.",
        ("health",),
        1,
    ),
    Key(
        "health.discard",
        "delete,X",
        "X",
        "discard",
        "discard",
        "Forget the selected failed event; asks first.",
        ("health",),
        1,
    ),
    Key(
        "health.pause",
        "p",
        "p",
        "pause_consumer",
        "pause",
        "Pause the selected consumer, or resume it; asks first.",
        ("health",),
        1,
    ),
    # ---- everywhere
    Key("screen.live", "1", "1", "screen('live')", "Live", "The events as they happen."),
    Key("screen.coverage", "2", "2", "screen('coverage')", "Coverage", "Which tables are captured, and building it."),
    Key("screen.schema", "3", "3", "screen('schema')", "Schema", "What DDL ran."),
    Key("screen.replay", "4", "4", "screen('replay')", "Replay", "Events run through your callbacks again."),
    Key(
        "screen.health",
        "5",
        "5",
        "screen('health')",
        "Health",
        "The link, how late events come, who reads, what failed.",
    ),
    Key("screen.any", "", "1-5", "", "screens", "Go to a screen.", EVERYWHERE, 2),
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
        "app.record",
        "W",
        "W",
        "record",
        "record",
        "Record what arrives to a file, or end the recording.",
        EVERYWHERE,
        2,
    ),
    Key("app.open", "o", "o", "open_log", "open log", "Open a saved log; q leads back."),
    Key("app.database", "D", "D", "database", "database", "Go to another database of PG_EVENTS_PROFILES."),
    Key(
        "app.log",
        "E",
        "E",
        "event_log",
        "event log",
        "What happened to the console: link, recording, replays.",
        EVERYWHERE,
        2,
    ),
    Key(
        "app.command",
        "colon",
        ":",
        "command",
        "command",
        "Tell the console what to do; Tab completes.",
        EVERYWHERE,
        2,
    ),
    Key("app.palette", "ctrl+p", "ctrl+p", "app.command_palette", "commands", "Find a key or a command by its name."),
    Key("app.help", "question_mark,f1", "?", "help", "keys", "All keys, and the filter's words.", EVERYWHERE, 2),
    Key("app.leave", "escape", "esc", "leave", "leave", "Leave what is open: zoom, filter, pause."),
    Key("app.back", "q", "q", "back", "back", "Back to Live; from there, quit (asks).", EVERYWHERE, 2),
    Key("app.quit", "ctrl+q,ctrl+c", "ctrl+q", "app.quit", "quit", "Quit without asking."),
)


def on_screen(screen: str, table: Iterable[Key] = KEYS) -> Iterable[Key]:
    """Yield the keys of a screen, in the table's order."""
    return (key for key in table if screen in key.screens)


def remapped(keymap: Mapping[str, str]) -> tuple[Key, ...]:
    """Return the table with other keys (separated by commas) for some ids. Raises `UsageError` for invalid ones."""
    known = {key.id: key for key in KEYS if key.keys}
    for name in keymap:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
            raise UsageError(f"PG_EVENTS_KEYS: there is no {name!r}{hint}")
    table = tuple(
        replace(key, keys=keymap[key.id], shown=shown_keys(keymap[key.id])) if key.id in keymap else key for key in KEYS
    )
    for screen in EVERYWHERE:
        taken: dict[str, str] = {}
        for key in on_screen(screen, table):
            for one in filter(None, key.keys.split(",")):
                other = taken.setdefault(one.strip(), key.id)
                if other != key.id:
                    raise UsageError(f"PG_EVENTS_KEYS: {one.strip()} is both {other} and {key.id}")
    return table


def shown_keys(keys: str) -> str:
    """Return the keys as shown to the user: `f5`, `=`."""
    names = {"equals_sign": "=", "number_sign": "#", "at": "@", "slash": "/", "colon": ":", "question_mark": "?",
             "left_square_bracket": "[", "right_square_bracket": "]", "enter": "⏎", "escape": "esc"}  # fmt: skip
    return " ".join(names.get(one.strip(), one.strip()) for one in keys.split(","))


def bindings(screen: str) -> list[Binding]:
    """Return the `BINDINGS` of a screen."""
    return [_binding(key) for key in on_screen(screen) if key.keys and not key.widget]


def bindings_anywhere() -> list[Binding]:
    """Return the app's own `BINDINGS`, which take precedence over those of any screen."""
    found = (replace(key, keys=ANYWHERE[key.id]) for key in KEYS if key.id in ANYWHERE)
    return [replace(_binding(key), priority=True) for key in found]


def typed_anywhere(table: Iterable[Key]) -> frozenset[str]:
    """Return the app's actions whose key types a letter in a field."""
    return frozenset(
        key.action.removeprefix("app.") for key in table if key.id in ANYWHERE and any(map(_types, key.keys.split(",")))
    )


def _types(key: str) -> bool:
    return len(key.strip()) == 1 or not ("+" in key or key.strip() in _NAMED)


def list_bindings() -> list[Binding]:
    """Return the `BINDINGS` of a list."""
    return [_binding(key) for key in KEYS if key.widget]


def _binding(key: Key) -> Binding:
    return Binding(key.keys, key.action, key.label, show=False, key_display=key.shown, tooltip=key.help, id=key.id)
