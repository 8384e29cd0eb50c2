"""Who is trusted: whoever reads the log, or writes to it, runs what the owner of the schema `pgevents` put there.

A view calls functions, a table has triggers and default values, and all of them run with the rights of the session that
uses them. So a session uses the schema only if that gives its owner no power that the owner lacks:

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
    """The owner of the schema, as the session that asks has to see it."""

    owner: str
    role: str
    """The session's login."""
    more: list[str]
    """Powers of the session that the owner lacks."""
    has_owners_rights: bool
    """The session may do all that the owner may."""
    wrong: list[str]
    """Relations that are not what they should be, or belong to another role: nothing that `build` could put right."""
    attached: list[str]
    """Triggers, rules, policies and inheriting tables that no build made."""
    functions: list[str]
    """Functions in the schema that belong to another role."""

    @property
    def is_weaker(self) -> bool:
        """The session would lend the owner powers."""
        return bool(self.more)

    @property
    def is_buildable(self) -> bool:
        """A build may read what is there: functions of another role's it makes again without calling one."""
        return not (self.more or self.wrong or self.attached)

    @property
    def is_trusted(self) -> bool:
        return self.is_buildable and not self.functions

    @property
    def problem(self) -> str:
        """What is wrong, in a line; empty when nothing is."""
        if self.more:
            powers = ["SUPERUSER"] if "SUPERUSER" in self.more else self.more
            return (
                f"role {self.role} may more ({_some(powers)}) than {self.owner}, who owns the schema pgevents: what "
                f"{self.owner} put there would run with those rights"
            )
        if found := [*self.wrong, *self.attached, *self.functions]:
            return one_line(f"there is something in the schema pgevents that is not {self.owner}'s: {_some(found)}")
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
    """The schema's owner; None where there is no schema `pgevents`. Runs no code but PostgreSQL's own."""
    with connection.cursor(row_factory=class_row(Owner)) as cursor:
        cursor.execute(sql.text("trust.sql"))
        cursor.nextset()
        return cursor.fetchone()


def check(connection: psycopg.Connection[Any], *, builds: bool = False) -> None:
    """Raise `NotPermitted` when this session must not use what is in the schema `pgevents`; a build may a little more."""
    found = ask(connection)
    if found is not None and not (found.is_buildable if builds else found.is_trusted):
        raise NotPermitted(f"{found.problem}; remedy: {found.remedy}")
