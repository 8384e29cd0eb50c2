"""Editing a copy of a payload in the user's editor. The console is suspended meanwhile."""

from typing import Any

import click
from textual.app import App, SuspendNotSupported

from pg_events.errors import UsageError
from pg_events.playback.payload_text import joined, spread


def edited(app: App[Any], payload: str) -> str:
    """Return the payload as saved by $EDITOR, or unchanged. Raises `ValueError` if it is no longer a valid payload."""
    try:
        with app.suspend():
            changed = click.edit(spread(payload), extension=".json")
    except SuspendNotSupported:
        raise UsageError("an editor cannot be opened from this terminal") from None
    except click.ClickException as error:
        raise UsageError(f"the editor cannot be opened: {error.message}; set $EDITOR") from None
    return payload if changed is None or changed.strip() == spread(payload).strip() else joined(changed)
