"""Text from strangers made fit for a terminal and a log, and numbers as people read them."""

from pg_events.text.cleaning import TooDeep, clean, counted, describe_error, message, one_line, shorten
from pg_events.text.masking import MASK, without_passwords

__all__ = [
    "MASK", "TooDeep", "clean", "counted", "describe_error", "message", "one_line", "shorten", "without_passwords",
]  # fmt: skip
