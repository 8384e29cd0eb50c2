"""`python -m tests.installcheck.tpcc`: a load like TPC-C at SERIALIZABLE, one warehouse for each client.

The five transactions of TPC-C in about its mix, on few rows. Each warehouse has tables of its own, so that no client
gets into another's way. Prints what was committed and what failed without capture and with it; exits with 1 when a
transaction failed.
"""

import argparse
import random
import re
import sys
from pathlib import Path
from time import monotonic

import psycopg
from psycopg import sql

from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError
from tests.installcheck.lab import run_clients, two_databases

HERE = Path(__file__).with_name("tpcc_sql")
MIX = {"new order": 45, "payment": 43, "order status": 4, "delivery": 4, "stock level": 4}


def transactions() -> dict[str, list[str]]:
    _, *parts = re.split(r"^-- name: (.*)\n", (HERE / "transactions.sql").read_text(), flags=re.MULTILINE)
    return {name: body.strip().split("\n\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


STATEMENTS = transactions()


def prepare(url: str, clients: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(1, clients + 1):
            schema = sql.Identifier(f"warehouse_{number}")
            connection.execute(sql.SQL("create schema {0}; set search_path = {0}").format(schema))
            connection.execute((HERE / "setup.sql").read_bytes())


def enter(connection: psycopg.Connection, number: int) -> None:
    connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(f"warehouse_{number}")))


def transaction(connection: psycopg.Connection, _number: int) -> None:
    (name,) = random.choices(list(MIX), list(MIX.values()))
    values = {
        "district": random.randint(1, 10),
        "customer": random.randint(1, 30),
        "items": random.sample(range(1, 201), random.randint(5, 15)),
        "amount": round(random.uniform(1, 5000), 2),
    }
    for statement in STATEMENTS[name]:
        connection.execute(statement.encode(), values)


def main() -> int:
    try:
        return run()
    except PgEventsError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.installcheck.tpcc", description=__doc__)
    parser.add_argument("--major", type=int, help="of the server (the newest there is)")
    parser.add_argument("--clients", type=int, default=8, help="%(default)s")
    parser.add_argument("--transactions", type=int, default=500, help="of each client (%(default)s)")
    options = parser.parse_args()
    print("| TPC-C-like, a warehouse for each client | committed | failed to serialize | transactions/s |")
    print("|---|--:|--:|--:|")
    failed = 0
    with two_databases(options.major, lambda url: prepare(url, options.clients), Settings()) as urls:
        for name, url in zip(("plain", "captured"), urls, strict=True):
            begin = monotonic()
            count = run_clients(url, options.clients, options.transactions, enter, transaction)
            seconds = monotonic() - begin
            failed += count.failed
            print(f"| {name} | {count.committed:,} | {count.failed:,} | {count.committed / seconds:,.0f} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
