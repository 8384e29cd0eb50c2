"""Replay in the console: its events, outcomes and lines. Independent of Textual."""
