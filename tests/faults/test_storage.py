"""Where the log is kept: a full disk, another cluster, a subscriber, a foreign clock."""

import subprocess
from pathlib import Path
from typing import Self

import psycopg
import pytest

from pg_events.cli import main
from pg_events.demo.server import FAST, Server, binaries
from tests.faults.conftest import DURABLE
from tests.faults.harness import (
    KEYS,
    Change,
    Deliveries,
    WorkerProcess,
    committed,
    execute,
    judge,
    make_accounts,
    wait_until,
)


class TinyDisk:
    """A file system of 2 MB that the server may write to."""

    def __init__(self, server: Server) -> None:
        self.path = server.directory / "tiny"
        self.path.mkdir()
        owner = server.directory.stat().st_uid
        if not self._mount(f"size=2m,uid={owner},mode=700"):
            pytest.skip("a small disk cannot be mounted here: that needs root and CAP_SYS_ADMIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)

    def grow(self) -> None:
        assert self._mount("remount,size=100m")

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_row_35_a_full_disk_fails_the_write_and_nothing_else(server: Server, build, tmp_path) -> None:
    with Server(programs(server), settings=DURABLE) as own, TinyDisk(own) as disk:
        url = own.create_database("shop")
        build(url)
        execute(url, f"create tablespace tiny location '{disk.path}'", "alter table pgevents.event set tablespace tiny")
        make_accounts(url)
        deliveries = Deliveries(tmp_path / "deliveries")
        one = WorkerProcess(url, deliveries).ready()
        with pytest.raises(psycopg.errors.DiskFull):
            fill(url)
        assert len(committed(url)) > 10 + len(KEYS)
        got = deliveries.wait_for(committed(url), one.log)
        assert {each.change for each in got} == committed(url)

        disk.grow()
        execute(url, "insert into account values (900, 0)")
        got = deliveries.wait_for(committed(url), one.log)
        assert judge([], committed(url), got).duplicates == 0
        assert one.end() == 0


def fill(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for key in range(1000, 2000):
            connection.execute(
                "insert into account select %s, 0, string_agg(md5(random()::text), '') from generate_series(1, 1000)",
                [key],
            )


def programs(server: Server) -> Path:
    """Those of the tests' server, for another one."""
    found = binaries(server.major)
    assert found is not None
    return found


def test_row_37_a_log_restored_to_another_cluster_is_refused_until_it_is_begun_anew(
    server: Server, url, deliveries, tmp_path, capsys
) -> None:
    WorkerProcess(url, deliveries, "default", "--once").process.wait()
    dump = subprocess.run([programs(server) / "pg_dump", url], capture_output=True, check=True).stdout
    with Server(programs(server), settings=FAST) as other:
        restored = other.create_database("restored")
        subprocess.run([programs(server) / "psql", "-q", restored], input=dump, capture_output=True, check=True)

        refused = WorkerProcess(restored, deliveries, "default", "--once")
        assert refused.process.wait() == 1
        assert "created on another cluster" in refused.log()
        assert "teardown" in refused.log()
        assert "Traceback" not in refused.log()

        for command in (["teardown", "--yes"], ["build"]):
            with pytest.raises(SystemExit) as ended:
                main([*command, "--database-url", restored])
            assert ended.value.code == 0, capsys.readouterr()
        execute(restored, "update account set version = 1 where key = 7")
        last = WorkerProcess(restored, deliveries, "default", "--once")
        assert last.process.wait() == 0
    assert deliveries.read()[-1].change == Change(7, 1)


@pytest.mark.parametrize("option", [(), ("--disable-triggers",)], ids=["", "disable-triggers"])
def test_row_37_a_restore_of_data_alone_is_captured_or_leaves_the_triggers_as_they_were(
    server: Server, url, option, capsys
) -> None:
    dump = subprocess.run(
        [programs(server) / "pg_dump", "--data-only", "--table=account", *option, url], capture_output=True, check=True
    ).stdout
    execute(url, "truncate account", "truncate pgevents.event")

    subprocess.run([programs(server) / "psql", "-q", url], input=dump, capture_output=True, check=True)

    inserted = execute(url, "select count(*) from pgevents.log where kind = 'I'")
    assert inserted == ([(0,)] if option else [(20,)])
    with pytest.raises(SystemExit) as ended:
        main(["status", "--check", "--database-url", url])
    assert ended.value.code == 0, capsys.readouterr()


def test_row_38_a_subscriber_captures_nothing_that_its_publisher_captured(server: Server, build, tmp_path) -> None:
    with Server(programs(server), settings=FAST | {"wal_level": "logical"}) as own:
        urls = [own.create_database(name) for name in ("publisher", "subscriber")]
        for url in urls:
            build(url)
        publisher, subscriber = urls
        make_accounts(publisher)
        execute(subscriber, "create table account (key integer primary key, version integer not null, note text)")
        execute(publisher, "create publication p for table account")
        execute(publisher, "select pg_create_logical_replication_slot('s', 'pgoutput')")
        execute(
            subscriber,
            f"create subscription s connection '{publisher}' publication p with (create_slot = false, slot_name = 's')",
        )
        copied = "select count(*) from account, pg_subscription_rel where srsubstate = 'r'"
        wait_until(lambda: execute(subscriber, copied) == [(20,)], "the rows are copied")
        execute(publisher, "update account set version = 1", "delete from account where key = 20", "truncate account")
        execute(publisher, "insert into account values (100, 0)")
        wait_until(lambda: execute(subscriber, "select key from account") == [(100,)], "the changes are replicated")

        changes = "select kind::text, count(*) from pgevents.log where kind <> 'S' group by 1 order by 1"
        assert execute(publisher, changes) == [("D", 1), ("I", 21), ("T", 1), ("U", 20)]
        assert execute(subscriber, changes) == []
        execute(subscriber, "insert into account values (101, 0)")
        assert execute(subscriber, changes) == [("I", 1)]
