"""The console: `pg_events tui`."""
