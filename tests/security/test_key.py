"""The key of hashed values, which seals markers too, is shown to nobody."""

import psycopg
import pytest

from tests.conftest import Build


@pytest.mark.parametrize(
    "command",
    [
        "insert into users values (1, 'x')",
        "insert into users values (1, 'x'), (2, 'y')",
        "update users set card = 'z' where id = 0",
        "drop table users; create table users as select 1 as id, 'x' as card",
        "do $$ begin insert into users select 1, 'x' from generate_series(1, 3); perform 1; end $$",
        "insert into plain select generate_series(1, 3)",
        "create table another (id integer)",
    ],
)
def test_no_plan_shows_the_key(db: psycopg.Connection, url: str, build: Build, command: str) -> None:
    """Plans have parameters in them as constants, and each role may have those of its session printed."""
    db.execute(
        "create table users (id integer, card text); insert into users values (0, 'x'); create table plain (id integer)"
    )
    build(url, redact={"users": {"card": "hash"}})
    (key,) = db.execute("select key from pgevents.secret").fetchone() or (b"",)
    told: list[str] = []
    with psycopg.connect(url, autocommit=True) as writer:
        writer.add_notice_handler(lambda notice: told.append(f"{notice.message_primary} {notice.message_detail}"))
        writer.execute("set debug_print_plan = on; set debug_print_rewritten = on; set client_min_messages = log")
        writer.execute(command.encode())

    shown = " ".join(" ".join(told).split())
    assert "PLANNEDSTMT" in shown
    assert key.hex() not in shown
    # As a node of a plan spells bytes: signed numbers.
    assert " ".join(str(byte - 256 if byte > 127 else byte) for byte in key) not in shown
