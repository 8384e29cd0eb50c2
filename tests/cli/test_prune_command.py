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
    assert "do it as the role that built it" in answer.line
