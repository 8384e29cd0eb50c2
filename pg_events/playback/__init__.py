"""Replays captured or saved events into callbacks."""
