"""Connections to PostgreSQL that do not depend on settings of other roles."""
