"""`prune`: retention by hand."""

import json

import psycopg
import pytest


def test_what_went_and_what_stayed_is_told(call, url) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("delete from pgevents.event")
        connection.execute("insert into note values (1, 'a')")
        connection.execute("update pgevents.event set at = at - interval '2 days'")
        connection.execute("insert into note values (2, 'b')")

    answer = call("prune", "--keep", "1d", "--json", "--database-url", url)

    assert answer.code == 0
    assert json.loads(answer.out) == {"deleted": 1, "kept": 0}
    assert answer.err == "deleted 1 event older than 1d\n"


@pytest.mark.parametrize("size", ["10", "GB", "-1GB", "1PB", "3B", "1e3MB", ""])
def test_a_size_that_is_none_is_one_line(call, url, size) -> None:
    answer = call("prune", f"--keep-size={size}", "--database-url", url)

    assert answer.code == 2
    assert "--keep-size must be a size" in answer.line


def test_without_anything_said_nothing_is_deleted(call, url) -> None:
    answer = call("prune", "--database-url", url)

    assert answer.code == 2
    assert "--keep AGE or --keep-size SIZE" in answer.line


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1y", "9999999w", "1 d; drop", ""])
def test_an_age_that_is_none_is_one_line_and_deletes_nothing(call, url, age) -> None:
    answer = call("prune", f"--keep={age}", "--database-url", url)

    assert answer.code == 2
    assert "--keep" in answer.line


def test_a_mere_reader_is_told_who_may(call, server, url, stranger) -> None:
    assert call("build", "--grant", stranger, "--database-url", url).code == 0
    reader = server.url(psycopg.conninfo.conninfo_to_dict(url)["dbname"], stranger)

    answer = call("prune", "--keep", "0s", "--database-url", reader)

    assert answer.code == 4
    assert "pg_events build --grant-worker" in answer.line
