"""Common parts of all screens: the top and bottom rows, and the keys that work everywhere."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from pg_events.text import clean
from pg_events_tui.dialogs.documentation import Documentation
from pg_events_tui.dialogs.reading import Help
from pg_events_tui.screens.host import Host
from pg_events_tui.text.lines import Line
from pg_events_tui.widgets.header import Header, Health
from pg_events_tui.widgets.rows import FilterRow, KeyRows, Row

WIDE: Final = 100
"""Width from which list and detail are side by side."""
EXTRA_WIDE: Final = 160


class ConsoleScreen(Screen[None]):
    """Screen of one of the console's modes."""

    MODE: ClassVar[str] = ""
    ready = False
    """True once the widgets are mounted."""

    if TYPE_CHECKING:

        @property
        def app(self) -> App[Any]: ...

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def compose(self) -> ComposeResult:
        yield Header(self.MODE)
        yield FilterRow(id="filter")
        yield from self.compose_body()
        yield Row(id="state")
        yield KeyRows(self.MODE, self.host.keys)

    def on_mount(self) -> None:
        self.ready = True
        self.remember(self.host.remembered(self.MODE))
        self.tick(self.host.header())  # a key may follow immediately, and acts on what is shown

    def to_remember(self) -> Mapping[str, Any]:
        """Return the state of the screen to restore the next time, as values for JSON."""
        return {}

    def remember(self, values: Mapping[str, Any]) -> None:
        """Restore the values of `to_remember`, any of which may be missing or wrong."""

    def compose_body(self) -> ComposeResult:
        yield from ()

    # ---- the tick

    def tick(self, health: Health) -> None:
        """Show the current state. Called ten times a second while the screen is current, and when it becomes current."""
        self.query_one(Header).show(health)
        left, right = self.state_words()
        self.query_one("#state", Row).show(left, right)
        self.query_one(KeyRows).show(self.why_not)

    def state_words(self) -> tuple[Line, Line]:
        """Return the contents of the bottom row: the current state."""
        return (), ()

    @property
    def is_wide(self) -> bool:
        return self.app.size.width >= WIDE

    @staticmethod
    def titled(widget: Widget, title: str, subtitle: str = "") -> None:
        """Set the title in the frame; never parsed as markup."""
        for name, text in (("border_title", title), ("border_subtitle", subtitle)):
            if getattr(widget, f"_console_{name}", None) != text:
                setattr(widget, f"_console_{name}", text)
                setattr(widget, name, Content(clean(text)))

    # ---- keys

    def why_not(self, action: str) -> str:
        """Return the reason why the action is unavailable; empty if it is available."""
        return self.host.database.absent if action in ("reconnect", "record") else ""

    def refused(self, action: str) -> bool:
        """Return True, after a message with the reason, if the action is unavailable."""
        reason = self.why_not(action)
        if reason:
            self.say(reason, "warning")
        return bool(reason)

    def say(self, text: str, severity: str = "information") -> None:
        """Show a toast; never parsed as markup."""
        self.host.notices.say(text, severity)

    def action_screen(self, mode: str) -> None:
        self.app.switch_mode(mode)

    def on_header_chosen(self, event: Header.Chosen) -> None:
        self.action_screen(event.mode)

    def action_help(self) -> None:
        def open_documentation() -> None:
            self.app.push_screen(Documentation())

        self.app.push_screen(Help(self.MODE, self.host.keys, open_documentation=open_documentation))

    def open_detail(self) -> None:
        """Focus the detail; without room for both, it replaces the list."""
        pane = self.query_one("#detail")
        if not self.is_wide:
            self.add_class("-zoomed")
            for one in self.query(".pane"):
                one.set_class(one is pane, "-front")
        pane.focus()

    def action_command(self) -> None:
        self.host.navigation.ask_for_command()

    def action_record(self) -> None:
        self.host.files.toggle_recording()

    def action_open_log(self) -> None:
        self.host.navigation.ask_for_log()

    def action_database(self) -> None:
        self.host.navigation.ask_for_database()

    def action_event_log(self) -> None:
        self.host.notices.show()

    def action_reconnect(self) -> None:
        if self.host.database.absent:
            self.say(self.host.database.absent, "warning")
            return
        self.host.stream.intake.reconnect_now()
        self.say("connecting now" if self.host.stream.link.state != "live" else "connected already")

    def action_leave(self) -> None:
        """Leave the innermost of zoom, filter and pause."""

    def action_zoom(self) -> None:
        """Toggle between one pane and both."""
        pane = self.focused
        panes = list(self.query(".pane"))
        if pane in panes and not self.has_class("-zoomed"):
            self.set_class(True, "-zoomed")
            for one in panes:
                one.set_class(one is pane, "-front")
        else:
            self.leave_zoom()

    def leave_zoom(self) -> bool:
        was = self.has_class("-zoomed")
        self.remove_class("-zoomed")
        return was

    def action_back(self) -> None:
        if self.leave_zoom():
            return
        if self.MODE == "live":
            self.host.navigation.ask_to_quit()
        else:
            self.action_screen("live")

    def action_copy(self) -> None:
        found = self.copied()
        if found is None:
            self.say("nothing is selected", "warning")
        else:
            self.host.notices.copy(*found)

    def copied(self) -> tuple[str, str] | None:
        """Text that `y` copies, after its name."""
        return None
