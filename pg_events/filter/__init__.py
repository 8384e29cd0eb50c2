"""Filter language: parsed once, evaluated on events in Python and on the log in SQL."""
