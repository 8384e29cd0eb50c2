"""Cleans untrusted text for terminals and logs, and formats numbers."""

from pg_events.text.cleaning import TooDeep, clean, counted, describe_error, message, one_line, shorten
from pg_events.text.masking import MASK, without_passwords

__all__ = [
    "MASK", "TooDeep", "clean", "counted", "describe_error", "message", "one_line", "shorten", "without_passwords",
]  # fmt: skip
