"""Who fills the queue of notifications stops nobody's writes."""

import os

import psycopg
import pytest

from pg_events.demo.server import FAST, Server, binaries
from tests.conftest import Build


def test_a_full_queue_fails_no_write_while_a_worker_sleeps(build: Build) -> None:
    major = int(os.environ.get("PG_EVENTS_TEST_MAJOR", "18"))
    programs = binaries(major)
    if programs is None or major < 17:
        pytest.skip("needs a server of its own whose queue can be made small: PostgreSQL 17 or newer")
    with Server(programs, settings={**FAST, "max_notify_queue_pages": "64"}) as server:
        url = server.url()
        build(url)
        with psycopg.connect(url, autocommit=True) as db, psycopg.connect(url, autocommit=True) as idle:
            db.execute(
                "create table t (id integer); select setval('pgevents.sleeper', extract(epoch from now())::bigint + 99)"
            )
            idle.execute("listen x")
            idle.execute("begin; select")
            fill = "do $$ begin perform pg_notify('x', rpad(n::text, 7000)) from generate_series(1, 9999) n; end $$"
            with pytest.raises(psycopg.Error, match="too many notifications"):
                db.execute(fill)

            db.execute("insert into t values (1); insert into t select generate_series(1, 3); truncate t")
            db.execute("create table another (id integer); drop table another")

            assert db.execute("select count(*) from pgevents.log where table_name = 't'").fetchone() == (5,)
