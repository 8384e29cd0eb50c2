"""Trust in the owner of the schema `pgevents`, whose code runs when a session reads or writes the log.

A view calls functions, a table has triggers and default values, and all of them run with the privileges of the session
that uses them. So a session uses the schema only if that gives its owner no privilege that the owner lacks:

- the owner is a superuser; or
- every attribute of the session's role (SUPERUSER, CREATEROLE, CREATEDB, REPLICATION, BYPASSRLS) and every predefined
  role it is a member of is the owner's, too, directly or by membership. Those that only watch (pg_monitor and its parts,
  pg_checkpoint, pg_use_reserved_connections) do not count. The role is that of the login: SET ROLE can be taken back.

And what stands in the schema must be the owner's: ordinary tables, sequences and our own views, which belong to the
owner, or to a superuser or a member of the owner, and have no foreign trigger, rule, policy or inheriting table.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from pg_events import sql
from pg_events.errors import NotPermitted
from pg_events.text import one_line

_MANY: Final = 3


@dataclass(frozen=True)
class Owner:
    """Owner of the schema, relative to the current session."""

    owner: str
    role: str
    """Login role of the session."""
    more: list[str]
    """Privileges of the session that the owner lacks."""
    has_owners_rights: bool
    """True if the session has all privileges of the owner."""
    wrong: list[str]
    """Relations that are not as expected, or belong to another role, and that `build` cannot repair."""
    attached: list[str]
    """Triggers, rules, policies and inheriting tables that no build created."""
    functions: list[str]
    """Functions in the schema that belong to another role."""

    @property
    def is_weaker(self) -> bool:
        """True if the session would give the owner additional privileges."""
        return bool(self.more)

    @property
    def is_buildable(self) -> bool:
        """True if a build may read the schema; it replaces functions of other roles without calling them."""
        return not (self.more or self.wrong or self.attached)

    @property
    def is_trusted(self) -> bool:
        return self.is_buildable and not self.functions

    @property
    def problem(self) -> str:
        """Problem in one line; empty if there is none."""
        if self.more:
            powers = ["SUPERUSER"] if "SUPERUSER" in self.more else self.more
            return (
                f"role {self.role} may more ({_some(powers)}) than {self.owner}, who owns the schema pgevents: code of "
                f"{self.owner} would run with these privileges"
            )
        if found := [*self.wrong, *self.attached, *self.functions]:
            return one_line(f"the schema pgevents contains objects that are not {self.owner}'s: {_some(found)}")
        return ""

    @property
    def remedy(self) -> str:
        if self.more:
            return f"run it as {self.owner}, or let pg_events build take the schema over as {self.role}"
        if self.wrong:
            return "drop it, or run pg_events teardown and pg_events build"
        return f"run pg_events build as {self.owner}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MANY]) + (", …" if len(names) > _MANY else "")


def ask(connection: psycopg.Connection[Any]) -> Owner | None:
    """Read the schema's owner; None if there is no schema `pgevents`. Runs only PostgreSQL's own code."""
    with connection.cursor(row_factory=class_row(Owner)) as cursor:
        cursor.execute(sql.text("trust.sql"))
        cursor.nextset()
        return cursor.fetchone()


def check(connection: psycopg.Connection[Any], *, builds: bool = False) -> None:
    """Raise `NotPermitted` if this session must not use the schema `pgevents`; a build may do slightly more."""
    found = ask(connection)
    if found is not None and not (found.is_buildable if builds else found.is_trusted):
        raise NotPermitted(f"{found.problem}; remedy: {found.remedy}")
