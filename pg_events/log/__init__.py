"""Reads events from the log in the database, live, retained or by row, and applies the retention."""
