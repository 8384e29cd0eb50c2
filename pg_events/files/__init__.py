"""Reads, writes and redacts saved logs: events in JSON Lines files."""
