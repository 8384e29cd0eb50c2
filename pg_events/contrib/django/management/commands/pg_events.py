"""`manage.py pg_events build`, `worker`, `status` and so on: the commands of pg_events with the project's settings."""

# pyright: basic
# Django has no types.

import argparse
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from pg_events.cli import main
from pg_events.config.django import database_url
from pg_events.errors import PgEventsError


class Command(BaseCommand):
    """Runs a command of pg_events; `PG_EVENTS_…` in the project's settings are its settings."""

    help = "Runs a command of pg_events with the settings of this project: pg_events --help lists them."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass everything after the name to pg_events, `--help` included; `--database ALIAS` is ours."""
        arguments, database = list[str](), None
        given = iter(argv[2:])
        for argument in given:
            name, equals, value = argument.partition("=")
            if name == "--database":
                database = value if equals else next(given, "")
            else:
                arguments.append(argument)
        try:
            _run(arguments, database)
        except CommandError as error:
            self.stderr.write(f"pg_events: {error}")
            raise SystemExit(error.returncode) from error

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--database", help="alias of the database; default: that of the settings")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="command of pg_events, with its options")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run for `call_command`. Raises `CommandError` if the command fails."""
        try:
            _run(options["arguments"], options["database"])
        except SystemExit as end:
            if end.code:
                raise CommandError(f"pg_events {' '.join(options['arguments'])} failed", returncode=2) from None


def _run(arguments: list[str], alias: str | None) -> None:
    """Run a command; ends as it ends, by `SystemExit`."""
    if module := os.environ.get("DJANGO_SETTINGS_MODULE"):
        os.environ.setdefault("PG_EVENTS_SETTINGS", module)
    elif alias is None:
        alias = DEFAULT_DB_ALIAS
    if alias is not None:
        if alias not in list(connections):
            raise CommandError(f"there is no database {alias!r} in DATABASES", returncode=2)
        try:
            url = database_url(connections[alias].settings_dict, f"DATABASES[{alias!r}]")
        except PgEventsError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        arguments = [*arguments, "--database-url", url]
    main(arguments)
