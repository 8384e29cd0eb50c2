"""The judge can condemn, and the proxy can fail: else the other tests here would prove nothing."""

import select
from contextlib import closing

import psycopg
import pytest

from tests.faults.harness import Change, Delivery, Proxy, Verdict, execute, judge, wait_until

A1, A2, A3 = (Change(1, sequence) for sequence in (1, 2, 3))
B1 = Change(2, 1)


def deliver(*changes: Change) -> list[Delivery]:
    """Each under an id of its own."""
    return [Delivery(hash(change), 1, change) for change in changes]


@pytest.mark.parametrize(
    ("acknowledged", "delivered", "verdict"),
    [
        ([A1], deliver(A1, B1, A2, A3), Verdict(4, 0, 0, 0, 0)),
        ([A1], deliver(A1, A2, A1, A2, A3, B1), Verdict(4, 0, 2, 0, 0)),
        ([], deliver(A1, A2, A3), Verdict(4, 1, 0, 0, 0)),
        ([Change(3, 1)], deliver(A1, A2, A3, B1), Verdict(4, 1, 0, 0, 0)),
        ([], deliver(A1, A3, A2, B1), Verdict(4, 0, 0, 1, 0)),
        ([], deliver(A1, A2, A3, B1, Change(2, 2)), Verdict(4, 0, 0, 0, 1)),
        ([], [*deliver(A1, A2, A3, B1), Delivery(-1, 1, A1)], Verdict(4, 0, 1, 0, 1)),
    ],
    ids=["good", "twice", "lost", "acknowledged in vain", "out of order", "never committed", "under two ids"],
)
def test_the_judge_counts_each_fault(acknowledged, delivered, verdict: Verdict) -> None:
    assert judge(acknowledged, {A1, A2, A3, B1}, delivered) == verdict
    assert verdict.is_good == (not (verdict.lost or verdict.disorders or verdict.phantoms))


def test_the_proxy_passes_stalls_drops_answers_refuses_and_resets(url: str, proxy: Proxy) -> None:
    with closing(psycopg.connect(proxy.url, autocommit=True)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)

        proxy.mode = "mute"
        assert not is_answered(connection, "update account set note = 'arrived' where key = 1")
        wait_until(lambda: note_of_1(url) == "arrived", "the statement arrives")
        proxy.reset()
        assert is_answered(connection, None)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")

    proxy.mode = "pass"
    with closing(psycopg.connect(proxy.url, autocommit=True)) as connection:
        proxy.mode = "stall"
        assert not is_answered(connection, "update account set note = 'late' where key = 1")
        assert note_of_1(url) == "arrived"

    proxy.mode = "refuse"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url)


def note_of_1(url: str) -> str:
    return execute(url, "select note from account where key = 1")[0][0]


def is_answered(connection: psycopg.Connection, statement: str | None) -> bool:
    """Whether anything comes back, be it that the link is cut."""
    if statement:
        connection.pgconn.send_query(statement.encode())
        connection.pgconn.flush()
    return bool(select.select([connection.pgconn.socket], [], [], 0.3)[0])
