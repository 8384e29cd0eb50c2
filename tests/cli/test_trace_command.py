"""`trace`: the tree of what an event caused, and what caused it."""

import json

import psycopg

import pg_events
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker


def deliver(url: str, callback: object, name: str) -> None:
    Worker(Settings(url, data_update_callback=callback), name, start=OLDEST).run(once=True)  # type: ignore[arg-type]


def writing(url: str, table: str, statement: str):
    """A callback that answers events of a table by a statement, on a connection of its own."""

    def callback(payload: str) -> None:
        if json.loads(payload)["table_name"] == table:
            with psycopg.connect(url) as connection:
                pg_events.set_context(connection)
                connection.execute(statement.encode())

    return callback


def ids(url: str, table: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select id from pgevents.log where table_name = %s", [table])]


def test_trace_prints_the_tree(url: str, execute, call, tmp_path):
    for table in ("orders", "invoice", "mail"):
        execute(url, f"create table {table} (id integer generated always as identity primary key, n integer)")
    with psycopg.connect(url) as connection:
        pg_events.set_context(connection, user=42)
        connection.execute("insert into orders (n) values (1)")
    deliver(url, writing(url, "orders", "insert into invoice (n) values (1), (2)"), "billing")
    deliver(url, writing(url, "invoice", "insert into mail (n) values (1)"), "mailer")
    [order], [first, second], mails = ids(url, "orders"), ids(url, "invoice"), ids(url, "mail")

    answer = call("trace", str(second), "--database-url", url)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"#{order}  INSERT  public.orders  id=1")
    assert "user=42" in lines[0]
    leads = ["├─ billing: ", "│  └─ mailer: ", "└─ billing: ", "   └─ mailer: "]
    assert [line.partition("#")[0] for line in lines[1:]] == leads
    assert [line.endswith("←") for line in lines] == [False, False, False, True, False]

    answer = call("trace", str(mails[0]), "--database-url", url, "--json")
    assert [json.loads(line)["id"] for line in answer.out.splitlines()] == [order, first, mails[0], second, mails[1]]

    file = tmp_path / "log.jsonl"
    assert call("export", str(file), "--database-url", url).code == 0
    assert call("trace", str(first), "--log", str(file)).out.splitlines()[0].startswith(f"#{order}")

    answer = call("trace", "1", "--database-url", url)
    assert (answer.code, answer.line) == (1, "event 1 is not kept")


def test_a_cause_that_is_gone_is_named(url: str, execute, call):
    execute(url, "create table orders (id integer primary key)")
    with psycopg.connect(url) as connection:
        pg_events.set_context(connection, caused_by={"consumer": "billing", "event": 7, "depth": 1})
        connection.execute("insert into orders values (1)")
    answer = call("trace", str(ids(url, "orders")[0]), "--database-url", url)
    assert answer.code == 0
    assert answer.err == "event 7, which caused it through consumer billing, is not kept\n"
