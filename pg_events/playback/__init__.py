"""Captured or saved events, once more into callbacks."""
