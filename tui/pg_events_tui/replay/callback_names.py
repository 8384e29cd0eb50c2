"""The names of callbacks: those of the settings, and what is wrong with one that was typed. Pure."""

import re

from pg_events.config.settings import Settings


def known_callbacks(settings: Settings) -> list[str]:
    """The names of functions that the settings hold, each once."""
    found = (settings.data_update_callback, settings.db_schema_update_callback)
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))


def name_problem(text: str) -> str:
    """What is wrong with the name of a callback; empty when nothing is."""
    return "" if re.fullmatch(r"\s*\w+(\.\w+)*[.:]\w+(\.\w+)*\s*", text) else "name it as my_module.function"
