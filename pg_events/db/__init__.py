"""Connections to PostgreSQL that rely on nothing a stranger can set."""
