"""Differences between two rows, or two texts."""
