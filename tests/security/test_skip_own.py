"""A role that takes the name of a consumer's callbacks hides no event from that consumer."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pg_events.config.settings import Settings
from pg_events.delivery.loops import mark
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker

NAME = "hidden"


@pytest.fixture
def url(role: str, built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key)")
        connection.execute(sql.SQL("grant insert on item to {}").format(sql.Identifier(role)))
        connection.execute("truncate pgevents.event")
    return built_database_url


@pytest.fixture
def as_role(server: Any, url: str, role: str) -> Iterator[psycopg.Connection]:
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(server.url(str(database), role), autocommit=True, application_name=mark(NAME)) as connection:
        yield connection


def delivered(url: str, **settings: Any) -> list[int]:
    ids: list[int] = []

    def note(payload: str) -> None:
        ids.append(json.loads(payload)["new_data"]["id"])

    Worker(Settings(url, note, **settings), NAME, start=OLDEST).run(once=True)
    return ids


def own(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, application_name=mark(NAME))


def test_the_name_alone_hides_no_event(
    url: str, as_role: psycopg.Connection, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    as_role.execute("insert into item values (1), (2)")
    with own(url) as connection:
        connection.execute("insert into item values (3)")

    assert delivered(url, ignore_own_changes=True) == [1, 2]
    told = [record.getMessage() for record in caplog.records if "names it as its cause" in record.getMessage()]
    assert len(told) == 1
    assert f"written by role {role}" in told[0]
    assert f"PG_EVENTS_IGNORE_OWN_CHANGES = ['{role}']" in told[0]


def test_roles_that_are_named_are_those_of_the_callbacks(url: str, as_role: psycopg.Connection, role: str) -> None:
    as_role.execute("insert into item values (1)")
    with own(url) as connection:
        connection.execute("insert into item values (2)")

    assert delivered(url, ignore_own_changes=(role,)) == [2]


def test_another_role_put_on_in_the_session_hides_nothing(url: str, as_role: psycopg.Connection, role: str) -> None:
    with own(url) as connection:  # the session is the worker's, whatever role it puts on
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        connection.execute("insert into item values (1)")
    as_role.execute("insert into item values (2)")

    assert delivered(url, ignore_own_changes=True) == [2]
