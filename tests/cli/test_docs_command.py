"""`docs`: the documentation, from the package itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text("utf-8") for path in (ROOT / "pg_events/docs").glob("*.md")}


def test_without_a_topic_every_topic_is_listed_with_its_first_sentence(call) -> None:
    answer = call("docs")

    assert (answer.code, answer.err) == (0, "")
    listed = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert list(listed) == sorted(PAGES)
    assert listed == {topic: text.split("\n")[2] for topic, text in PAGES.items()}


@pytest.mark.parametrize("topic", sorted(PAGES))
def test_in_a_pipe_a_page_is_its_markdown(call, topic) -> None:
    answer = call("docs", topic)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out == PAGES[topic]


def test_a_pipe_without_unicode_gets_a_page_all_the_same(run) -> None:
    answer = run("docs", "internals", environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})

    assert (answer.code, answer.err) == (0, "")
    assert "# Internals" in answer.out


def test_a_topic_is_found_whatever_its_case_and_with_its_ending(call) -> None:
    assert call("docs", "Settings.md").out == PAGES["settings"]


def test_an_unknown_topic_is_a_mistake_with_a_guess(call) -> None:
    answer = call("docs", "setings")

    assert answer.code == 2
    assert answer.line == "pg_events: there is no topic 'setings'; did you mean 'settings'?"


@pytest.mark.parametrize("topic", ["xyzzy", "../errors", "\x1b[31m"])
def test_a_topic_that_resembles_none_lists_all(call, topic) -> None:
    answer = call("docs", topic)

    assert answer.code == 2
    assert all(known in answer.line for known in PAGES)
    assert "\x1b" not in answer.line


def test_a_search_prints_the_lines_of_every_topic_with_their_numbers(call) -> None:
    answer = call("docs", "--search", "pg_events_retention")

    assert (answer.code, answer.err) == (0, "")
    found = [line.split(":", 2) for line in answer.out.splitlines()]
    assert {"settings", "operations", "guarantees"} <= {topic for topic, *_ in found}
    for topic, number, text in found:
        assert PAGES[topic].splitlines()[int(number) - 1].strip() == text.strip()
        assert "PG_EVENTS_RETENTION" in text


def test_a_search_in_one_topic_prints_lines_of_no_other(call) -> None:
    answer = call("docs", "settings", "--search", "PG_EVENTS_RETENTION")

    assert {line.partition(":")[0] for line in answer.out.splitlines()} == {"settings"}


def test_a_search_that_finds_nothing_says_so_and_exits_with_1(call) -> None:
    answer = call("docs", "--search", "xyzzy")

    assert answer.code == 1
    assert answer.line == "no line contains 'xyzzy'"


def test_a_search_for_nothing_is_a_mistake(call) -> None:
    answer = call("docs", "--search", " ")

    assert answer.code == 2
    assert answer.line == "pg_events: --search needs a word"


def test_on_a_terminal_a_page_is_laid_out_in_the_pager(in_terminal, tmp_path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho BEGIN\ncat\necho END\n")
    pager.chmod(0o755)

    terminal = in_terminal("docs", "settings", environment={"PAGER": str(pager)})

    assert terminal.end() == 0
    shown = "\n".join(terminal.screen)
    assert shown.index("BEGIN") < shown.index("PG_EVENTS_DATABASE_URL") < shown.index("END")
    assert "| `PG_EVENTS" not in shown
    assert "pg_events docs callbacks" in " ".join(shown.split())
    assert max(map(len, terminal.screen)) <= 80


def test_on_a_terminal_no_name_of_a_setting_is_cut(in_terminal) -> None:
    terminal = in_terminal("docs", "settings", environment={"PAGER": "cat"})

    assert terminal.end() == 0
    pieces = "".join(line[:34].strip() for line in terminal.screen)
    names = re.findall(r"^\| `(\w+)`", PAGES["settings"], re.MULTILINE)
    assert len(names) > 30
    assert [name for name in names if name not in pieces] == []


def test_on_a_terminal_the_list_fits_its_width(in_terminal) -> None:
    terminal = in_terminal("docs", columns=60)

    assert terminal.end() == 0
    assert all(any(line.startswith(topic) for line in terminal.screen) for topic in PAGES)
    assert max(map(len, terminal.screen)) <= 60


def test_a_reader_that_has_enough_is_no_failure(start) -> None:
    process = start("docs", "--search", "e")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(30) == 0


def test_the_shells_complete_topics(run) -> None:
    answer = run(
        environment={"_PG_EVENTS_COMPLETE": "bash_complete", "COMP_WORDS": "pg_events docs se", "COMP_CWORD": "2"},
        as_installed=True,
    )

    assert {offered.partition(",")[2] for offered in answer.out.splitlines()} == {"security", "settings"}
