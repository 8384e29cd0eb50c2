"""Application: start, questions, notifications and exit."""
