"""Management commands of the application, by the name of their module."""
