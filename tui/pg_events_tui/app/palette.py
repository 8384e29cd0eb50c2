"""Palettes of commands and themes."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from textual.app import App, SystemCommand
from textual.command import CommandList, CommandPalette
from textual.screen import Screen
from textual.theme import ThemeProvider
from textual.worker import Worker

from pg_events_tui.app.command_runner import CommandRunner
from pg_events_tui.commands.table import COMMANDS, Command, parse
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.widgets import keys
from pg_events_tui.widgets.keys import Key

PALETTE_ID: Final = "--command-palette"


class Palette(CommandPalette):
    """Palette as in Textual, but a page key before the list is drawn does not crash it (KeyError in Textual 8.2.8)."""

    def _action_command_list(self, action: str) -> None:
        if action.startswith("page_") and not self.query_one(CommandList).scrollable_content_region:
            return
        super()._action_command_list(action)


class Palettes:
    """Opens the palettes, which offer the keys of the screen by name, and the commands."""

    def __init__(self, app: App[Any], commands: CommandRunner, table: Iterable[Key]) -> None:
        self._app = app
        self._commands = commands
        self._keys = tuple(table)

    def open(self) -> None:
        if not isinstance(self._app.screen, CommandPalette):
            self._app.push_screen(Palette(id=PALETTE_ID))

    def open_themes(self) -> None:
        self._app.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    def entries(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        if not isinstance(screen, ConsoleScreen):
            return
        for key in keys.on_screen(screen.MODE, self._keys):
            if key.keys and not key.widget and key.action and key.action != "app.command_palette":
                yield SystemCommand(f"{key.label}  ({key.shown})", key.help, self._runner(screen, key.action))
        for command in COMMANDS:
            yield SystemCommand(f":{command.usage}", command.help, self._teller(command))

    def _runner(self, screen: Screen[Any], action: str) -> Callable[[], Worker[Any]]:
        async def run() -> None:
            await screen.run_action(action)

        return lambda: self._app.run_worker(run(), exit_on_error=False)

    def _teller(self, command: Command) -> Callable[[], object]:
        """Return a function that runs the command, or prompts for its arguments."""
        if command.needs:
            return lambda: self._commands.ask(f"{command.name} ")
        return lambda: self._app.run_worker(self._commands.run(parse(command.name)), exit_on_error=False)
