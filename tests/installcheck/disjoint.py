"""`python -m tests.installcheck.disjoint`: transactions at SERIALIZABLE whose clients share no table never fail.

Each client has its own schema with the same tables and runs the same statements, so that nothing but the log can bring
two of them into conflict. Prints how many transactions failed without capture and with it; exits with 1 when one did.
"""

import argparse
import re
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError
from tests.installcheck.lab import run_clients, two_databases

HERE = Path(__file__).with_name("disjoint_sql")
SETTINGS = Settings(row_triggers=("*.by_row",), redact={"*.redacted": {"note": "hash"}})


def kinds() -> dict[str, list[str]]:
    """Name of a kind of transaction -> its statements; the word `padding` in them stands for 1,000 characters."""
    text = (HERE / "kinds.sql").read_text().replace("padding", "padding " * 125)
    _, *parts = re.split(r"^-- name: (.*)\n", text, flags=re.MULTILINE)
    return {name: body.strip().split("\n\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def prepare(url: str, clients: int) -> None:
    """A schema for each client."""
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(1, clients + 1):
            schema = sql.Identifier(f"client_{number}")
            connection.execute(sql.SQL("create schema {0}; set search_path = {0}").format(schema))
            connection.execute((HERE / "setup.sql").read_bytes())


def enter(connection: psycopg.Connection, number: int) -> None:
    connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(f"client_{number}")))


def main() -> int:
    try:
        return run()
    except PgEventsError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.installcheck.disjoint", description=__doc__)
    parser.add_argument("--major", type=int, help="of the server (the newest there is)")
    parser.add_argument("--clients", type=int, default=8, help="%(default)s")
    parser.add_argument("--transactions", type=int, default=100, help="of each client and kind (%(default)s)")
    options = parser.parse_args()
    has_failed = False
    print("| 8 clients, no table in common | plain failed | captured failed |".replace("8", str(options.clients)))
    print("|---|--:|--:|")
    with two_databases(options.major, lambda url: prepare(url, options.clients), SETTINGS) as urls:
        for kind, statements in kinds().items():

            def transaction(connection: psycopg.Connection, _: int, statements: list[str] = statements) -> None:
                for statement in statements:
                    connection.execute(statement.encode())

            counts = [run_clients(url, options.clients, options.transactions, enter, transaction) for url in urls]
            has_failed |= any(count.failed for count in counts)
            print(f"| {kind} | {counts[0]} | {counts[1]} |", flush=True)
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
