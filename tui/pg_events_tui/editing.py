"""A copy of a payload in the user's editor, and the names of callbacks. The console stands still meanwhile."""

import re
from typing import Any

import click
from textual.app import App, SuspendNotSupported

from pg_events.errors import UsageError
from pg_events.payload_text import joined, spread
from pg_events.settings import Settings


def edited(app: App[Any], payload: str) -> str:
    """The payload as $EDITOR left it; as it was when nothing was saved. Raises `ValueError` when it is none any more."""
    try:
        with app.suspend():
            changed = click.edit(spread(payload), extension=".json")
    except SuspendNotSupported:
        raise UsageError("an editor cannot be opened from this terminal") from None
    except click.ClickException as error:
        raise UsageError(f"the editor cannot be opened: {error.message}; set $EDITOR") from None
    return payload if changed is None or changed.strip() == spread(payload).strip() else joined(changed)


def known_callbacks(settings: Settings) -> list[str]:
    """The names of functions that the settings hold, each once."""
    found = (settings.data_update_callback, settings.db_schema_update_callback)
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))


def name_problem(text: str) -> str:
    """What is wrong with the name of a callback; empty when nothing is."""
    return "" if re.fullmatch(r"\s*\w+(\.\w+)*[.:]\w+(\.\w+)*\s*", text) else "name it as my_module.function"
