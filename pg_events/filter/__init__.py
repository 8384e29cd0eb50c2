"""The filter language: parsed once, run over events in Python and over the log in SQL."""
