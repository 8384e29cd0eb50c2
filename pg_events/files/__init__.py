"""Saved logs: events in a JSON Lines file, read, written and redacted."""
