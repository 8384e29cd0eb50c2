"""Loads and calls the user's functions, routes events to them, and isolates them in a child process."""
