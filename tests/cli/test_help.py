"""The help: short, complete, and fit for 80 columns."""

import re

import click
import pytest

from pg_events import __version__
from pg_events.cli import cli


def commands() -> list[tuple[str, ...]]:
    """Every command with its path."""
    found: list[tuple[str, ...]] = [()]
    context = click.Context(cli)
    for name in cli.list_commands(context):
        found.append((name,))
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            found += [(name, below) for below in command.list_commands(click.Context(command))]
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_help_fits_80_columns(call, monkeypatch, path) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    answer = call(*path, "--help")

    assert answer.code == 0
    assert answer.err == ""
    assert max(map(len, answer.out.splitlines())) <= 80
    assert f" {' '.join((*path, ''))}[OPTIONS]" in answer.out.splitlines()[0]


@pytest.mark.parametrize("columns", [80, 120])
def test_no_summary_of_a_command_is_cut(call, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    for path, heading in (((), "Capture:"), (("failed",), "Commands:")):
        summaries = call(*path, "--help").out.partition(heading)[2]
        assert summaries
        assert "..." not in summaries


def test_the_help_groups_all_commands_by_what_they_are_for(call) -> None:
    found: dict[str, list[str]] = {}
    for line in call("--help").out.partition("Options:")[2].splitlines():
        if heading := re.fullmatch(r"(\w+):", line):
            below = found.setdefault(heading[1], [])
        elif command := re.match(r"  (\w+)  +\w", line):
            below.append(command[1])

    assert list(found) == ["Capture", "Deliver", "Inspect", "Replay", "Maintain"]
    assert sorted(name for names in found.values() for name in names) == sorted(cli.list_commands(click.Context(cli)))
    assert found["Deliver"] == ["worker", "failed", "consumers"]


@pytest.mark.parametrize(("path", "heading"), [((), "Capture:"), (("failed",), "Commands:")])
def test_without_a_command_there_is_help_and_the_exit_code_of_a_mistake(call, path, heading) -> None:
    answer = call(*path)

    assert answer.code == 2
    assert answer.out == ""
    assert heading in answer.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_get_a_script_for_completion(call, run, shell) -> None:
    answer = run(environment={"_PG_EVENTS_COMPLETE": f"{shell}_source"}, as_installed=True)

    assert answer.code == 0
    assert "_PG_EVENTS_COMPLETE" in answer.out
    assert f"_PG_EVENTS_COMPLETE={shell}_source" in call("--help").out


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pg_events ", {"build", "worker", "tui", "listen", "export", "status", "failed", "teardown", "demo"}),
        ("pg_events st", {"status"}),
        ("pg_events build --", {"--settings", "--database-url", "--include", "--plan", "--json"}),
        ("pg_events failed ", {"list", "show", "discard"}),
        ("pg_events listen --format ", {"pretty", "json"}),
    ],
)
def test_commands_and_options_are_completed(run, line, wanted) -> None:
    words = line.split(" ")

    answer = run(
        environment={
            "_PG_EVENTS_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        as_installed=True,
    )

    assert {offered.partition(",")[2] for offered in answer.out.splitlines()} >= wanted


def test_the_version_is_told_by_the_command_and_by_the_module(run) -> None:
    assert run("--version").out == run("--version", as_installed=True).out == f"pg_events {__version__}\n"
