"""Actions that work everywhere, including dialogs: quitting, and the palettes of commands and themes."""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.command import CommandList, CommandPalette
from textual.theme import Theme, ThemeProvider
from textual.widgets import Input

from pg_events_tui.app import themes
from pg_events_tui.app.keyboard import InOrder
from pg_events_tui.widgets import keys

PALETTE_ID: Final = "--command-palette"


class AnywhereApp(InOrder[int], inherit_bindings=False):
    """App whose keys for quitting and for the palette come from the table, not from Textual."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings_anywhere(),
        Binding("ctrl+c", "help_quit", show=False, system=True),
    ]

    no_color = False  # Textual reads the themes before it sets this
    typed_actions: frozenset[str] = frozenset()
    """Actions whose keys type a letter, as they do in a field."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.typed_actions and isinstance(self.focused, Input):
            return False
        return super().check_action(action, parameters)

    async def action_quit(self) -> None:
        self.exit(0)

    # ---- the palette

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Themes that are readable in this terminal."""
        return themes.readable(super().available_themes, colours=not self.no_color)

    def action_command_palette(self) -> None:
        if self.use_command_palette and not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id=PALETTE_ID))

    def search_themes(self) -> None:
        self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))


class Palette(CommandPalette):
    """Palette as in Textual, but a page key before the list is drawn does not crash it (KeyError in Textual 8.2.8)."""

    def _action_command_list(self, action: str) -> None:
        if action.startswith("page_") and not self.query_one(CommandList).scrollable_content_region:
            return
        super()._action_command_list(action)
