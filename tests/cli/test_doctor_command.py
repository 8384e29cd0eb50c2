"""`doctor` on a real database in which something is wrong."""

import json
import os
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pg_events.doctor import findings


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open at all has been open for long."""
    monkeypatch.setattr(findings, "OLD_SECONDS", 0.0)


def problems(call: Any, url: str) -> list[dict[str, Any]]:
    answer = call("doctor", "--json", "--database-url", url)
    shown = json.loads(answer.out)
    found = [finding for finding in shown["findings"] if finding["state"] == "problem"]
    assert shown["ok"] == (not found)
    assert answer.code == (1 if found else 0)
    return found


def mine(found: list[dict[str, Any]], url: str) -> list[dict[str, Any]]:
    """Without the transactions of other databases: other tests may share the server."""
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    return [finding for finding in found if finding["data"].get("database", database) == database]


def test_a_built_database_is_well(call: Any, url: str) -> None:
    assert mine(problems(call, url), url) == []


def test_a_database_without_a_build_says_so(call: Any, database_url: str) -> None:
    (finding,) = mine(problems(call, database_url), database_url)

    assert finding["name"] == "installation"
    assert finding["remedy"] == "pg_events build"


@pytest.mark.parametrize(
    ("damage", "name", "says"),
    [
        ('alter table note disable trigger "00_pgevents_insert"', "drift", "disabled"),
        ('drop trigger "00_pgevents_delete" on note', "drift", "not there yet"),
        ("alter function pgevents.capture_truncate() cost 7", "drift", "changed by hand"),
        ("drop event trigger pgevents_schema_dropped", "DDL", "pgevents_schema_dropped is missing"),
        ("alter event trigger pgevents_schema_changed disable", "DDL", "pgevents_schema_changed is disabled"),
        ("update pgevents.setting set value = '1' where name = 'system_identifier'", "origin", "another cluster"),
        (
            "do $$ begin execute format('alter database %I set session_replication_role = replica',"
            " current_database()); end $$",
            "settings",
            "fire no trigger",
        ),
    ],
)
def test_damage_is_found(call: Any, url: str, execute: Any, damage: str, name: str, says: str) -> None:
    execute(url, damage)

    found = mine(problems(call, url), url)

    assert {finding["name"] for finding in found} == {name}
    assert says in found[0]["text"]
    assert found[0]["remedy"]


def test_event_triggers_that_are_switched_off_are_named(call: Any, url: str, execute: Any) -> None:
    with psycopg.connect(url) as connection:
        if connection.info.server_version < 170000:
            pytest.skip("PostgreSQL can switch event triggers off from 17 on")
    execute(url, "do $$ begin execute format('alter database %I set event_triggers = off', current_database()); end $$")

    (finding,) = mine(problems(call, url), url)
    assert (finding["name"], finding["text"]) == (
        "DDL",
        "event_triggers is off for this database: DDL is not recorded and new tables are not covered",
    )
    status = call("status", "--database-url", url)
    assert "event_triggers is off for this database" in status.err
    assert "DDL NOT recorded for this database" in status.out
    assert json.loads(call("status", "--json", "--database-url", url).out)["schema_events_off_for"] == ["this database"]


def test_an_open_transaction_is_named(call: Any, url: str) -> None:
    with psycopg.connect(url, application_name="forgotten") as other:
        other.execute("insert into note values (1)")

        (finding,) = mine(problems(call, url), url)

    assert finding["name"] == "transactions"
    assert f"pid {finding['data']['pid']}" in finding["text"]
    assert "forgotten, has" in finding["text"].replace(") has", ", has")
    assert "idle in transaction" in finding["text"]


def test_a_prepared_transaction_is_named_and_what_it_means_for_wake_ups(call: Any, url: str, execute: Any) -> None:
    gid = f"left'{os.getpid()}"
    with psycopg.connect(url) as other:
        other.execute("create table quiet ()")
        other.commit()
        other.execute("select count(*) from quiet")
        other.execute("insert into quiet default values")
        other.execute(psycopg.sql.SQL("prepare transaction {}").format(gid))
    try:
        found = mine(problems(call, url), url)
    finally:
        execute(url, psycopg.sql.SQL("rollback prepared {}").format(gid).as_string())

    assert [finding["name"] for finding in found] == ["prepared", "settings"]
    assert found[0]["data"]["gid"] == gid
    assert "PG_EVENTS_NOTIFY = False" in found[1]["remedy"]


def test_a_slot_that_holds_rows_back_is_named() -> None:
    rows = [{"slot": "stale", "active": False, "transactions": 2_000_000}]

    (finding,) = findings.slots(rows)

    assert "pg_drop_replication_slot('stale')" in finding.remedy
    assert [one.state for one in findings.slots([])] == ["ok"]


def test_a_consumer_without_a_worker_and_its_failed_events(call: Any, url: str, execute: Any, tmp_path: Any) -> None:
    (tmp_path / "shop.py").write_text(
        "def data(payload):\n    raise ValueError\n"
        "PG_EVENTS_DATA_UPDATE_CALLBACK = data\nPG_EVENTS_MAX_ATTEMPTS = 1\nPG_EVENTS_RETRY_SECONDS = 0\n"
    )
    worker = ("worker", "--once", "--settings", "shop.py", "--database-url", url)
    call(*worker)
    execute(url, "insert into note values (1)")
    call(*worker)
    execute(url, "insert into note values (2)")

    found = mine(problems(call, url), url)

    assert [finding["name"] for finding in found] == ["consumers", "failed"]
    assert "no worker runs for consumer default; it waits for 1 event" in found[0]["text"]
    assert found[1]["remedy"] == "pg_events failed list --name default"


def test_a_role_with_no_right_gets_what_it_may_know(call: Any, url: str, stranger: str) -> None:
    answer = call("doctor", "--json", "--database-url", make_conninfo(url, user=stranger))
    found = {finding["name"]: finding for finding in json.loads(answer.out)["findings"]}

    assert answer.code == 1
    assert found["rights"]["state"] == "problem"
    assert found["rights"]["remedy"].startswith(f"pg_events build --grant-reader {stranger}")
    assert {name for name, one in found.items() if one["state"] == "unknown"} >= {"drift", "consumers", "log"}
    assert found["clock"]["state"] == "ok"


def test_it_fits_eighty_columns_and_obeys_nothing(in_terminal: Any, url: str) -> None:
    with psycopg.connect(url, application_name="\x1b[31mred") as other:
        other.execute("select 1")
        terminal = in_terminal("doctor", "--database-url", url, columns=80)
        terminal.end()

    assert all(len(line) <= 80 for line in terminal.screen)
    assert "\x1b[31mred" not in terminal.raw


@pytest.mark.parametrize(("ahead", "state"), [(0.0, "ok"), (-4.0, "ok"), (3600.0, "problem"), (-60.0, "problem")])
def test_clocks_are_compared(ahead: float, state: str) -> None:
    assert findings.clock(ahead, 0.1)[0].state == state


@pytest.mark.parametrize(("usage", "state"), [(0.0, "ok"), (0.09, "ok"), (0.1, "problem"), (1.0, "problem")])
def test_the_alarm_of_the_queue_comes_early(usage: float, state: str) -> None:
    assert findings.queue(usage)[0].state == state


def test_a_log_of_dead_rows_is_a_problem() -> None:
    rows = {"bytes": 5e9, "live": 10, "dead": 1_000_000, "vacuum_seconds": None}

    assert findings.log_size(rows)[0].state == "problem"
    assert findings.log_size(rows | {"live": 2_000_000})[0].state == "ok"
    assert findings.log_size(rows | {"dead": findings.BLOATED_ROWS})[0].state == "ok"
