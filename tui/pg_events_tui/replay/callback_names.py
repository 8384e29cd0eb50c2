"""Names of callbacks in the settings, and the check of a typed name. Pure."""

import re

from pg_events.config.settings import Settings


def known_callbacks(settings: Settings) -> list[str]:
    """Return the names of functions in the settings, without duplicates."""
    found = (settings.data_update_callback, settings.db_schema_update_callback)
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))


def name_problem(text: str) -> str:
    """Describe the error in a callback's name; empty if it is valid."""
    return "" if re.fullmatch(r"\s*\w+(\.\w+)*[.:]\w+(\.\w+)*\s*", text) else "name it as my_module.function"
