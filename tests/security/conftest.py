"""A database on which a build ran, roles that attack it, and the command in this process."""

from tests.cli.conftest import _no_settings, call, execute, run, start
from tests.postgres.conftest import captured_by
from tests.security.ownership.conftest import place

__all__ = ["_no_settings", "call", "captured_by", "execute", "place", "run", "start"]
