"""A payload as a person edits it: over several lines, each value spelt as it was; and back in one line."""

import json

from pg_events.event import parse, raw_members


def spread(payload: str) -> str:
    """A payload over several lines; each value is spelt as it was."""
    lines = [
        f"  {json.dumps(name, ensure_ascii=False)}: {_spread(name, value)}" for name, value in raw_members(payload)
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _spread(name: str, value: str) -> str:
    if name not in ("old_data", "new_data") or not value.startswith("{") or value == "{}":
        return value
    lines = [f"    {json.dumps(name, ensure_ascii=False)}: {text}" for name, text in raw_members(value)]
    return "{\n" + ",\n".join(lines) + "\n  }"


def joined(text: str) -> str:
    """In one line again. Raises `ValueError` or `RecursionError` when it is no payload."""
    line = text.strip().replace("\r", " ").replace("\n", " ")  # a string of JSON holds no line break of its own
    parse(line)
    return line
