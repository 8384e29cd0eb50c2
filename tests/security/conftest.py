"""A database on which a build ran, and roles that attack it."""

from tests.postgres.conftest import captured_by, db, url

__all__ = ["captured_by", "db", "url"]
