"""What a command says of a schema of another release, and of what is not said."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("listen", "--since", "oldest"),
        ("export", "all.jsonl"),
        ("consumers", "list"),
        ("failed", "list"),
        ("prune", "--keep", "1d"),
    ],
)
def test_a_schema_of_an_earlier_release_is_told_in_a_line(
    call: Callable[..., Any], url: str, execute: Callable[..., Any], command: tuple[str, ...]
) -> None:
    execute(
        url, "delete from pgevents.migration where version > 3", "alter table pgevents.event drop column folded cascade"
    )

    answer = call(*command, "--database-url", url)

    assert answer.code == 1
    assert "is version 3, this release needs" in answer.line
    assert answer.line.endswith("run: pg_events build")


def test_a_plan_of_the_log_without_a_database_is_told_in_a_line(call: Callable[..., Any]) -> None:
    answer = call("replay", "log", "--plan")

    assert answer.code == 2
    assert "database" in answer.line


def test_settings_that_the_environment_names_are_told_as_such(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PG_EVENTS_SETTINGS", "my_module.settings")

    answer = call("status", "--database-url", url)

    assert answer.code == 2
    assert answer.line.startswith("pg_events: PG_EVENTS_SETTINGS: no settings module 'my_module.settings'")
