"""Formats a payload for editing, over several lines with each value as written, and joins it again."""

import json

from pg_events.event import parse, raw_members


def spread(payload: str) -> str:
    """Payload over several lines, with each value as written."""
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
    """Join an edited payload into one line. Raises `ValueError` or `RecursionError` if it is not valid."""
    line = text.strip().replace("\r", " ").replace("\n", " ")  # a JSON string never holds a line break
    parse(line)
    return line
