"""The application `pg_events.contrib.django`, or `pg_events.contrib.django.apps.BuildAfterMigrate`."""

# pyright: basic
# Django has no types.

import functools
from typing import Any, Final

from django.apps import AppConfig
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from pg_events.contexts.current import context
from pg_events.contrib.django.writes import attach


class PgEvents(AppConfig):
    """Sends the context with the writes of every database, and gives each management command one."""

    name = "pg_events.contrib.django"
    label = "pg_events"
    verbose_name = "pg_events"
    default = True

    def ready(self) -> None:
        connection_created.connect(_connected, dispatch_uid="pg_events")
        for database in connections.all(initialized_only=True):
            if database.connection is not None:
                attach(database)
        _watch_commands()


class BuildAfterMigrate(PgEvents):
    """Runs `pg_events build` on each PostgreSQL database after `migrate`, that of the tests included."""

    default = False

    def ready(self) -> None:
        super().ready()
        post_migrate.connect(_build, sender=self, dispatch_uid="pg_events")


def _connected(connection: Any, **_: object) -> None:
    attach(connection)


_WITHOUT_CONTEXT: Final = frozenset({"pg_events", "runserver", "testserver"})
"""Commands that run code of others: of callbacks, or of requests."""


def _watch_commands() -> None:
    # Django has no signal for commands.
    execute: Any = BaseCommand.execute
    if hasattr(execute, "__wrapped__"):
        return

    @functools.wraps(execute)
    def with_context(self: BaseCommand, *arguments: Any, **options: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        if name in _WITHOUT_CONTEXT:
            return execute(self, *arguments, **options)
        with context(command=name):
            return execute(self, *arguments, **options)

    BaseCommand.execute = with_context  # pyright: ignore[reportAttributeAccessIssue]


def _build(using: str, verbosity: int, **_: object) -> None:
    if connections[using].vendor == "postgresql":
        call_command("pg_events", "build", database=using, verbosity=verbosity)
