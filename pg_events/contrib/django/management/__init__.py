"""Management commands of the application."""
