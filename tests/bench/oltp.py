"""1: transactions of one insert and one update: throughput, and CPU of the server for each.

Each variant by itself, as an audit table is that nobody reads, and once more with readers at work, whose part of the
processors the writers then miss.
"""

from contextlib import nullcontext

from lab import Lab, samples
from psycopg.sql import SQL
from variants import VARIANTS, table

_SCRIPT = SQL("""
begin;
insert into {table} (customer, status, total, note, amount, paid, details)
values (7, 'new', 12.50, 'leave it at the door', 3, false, '{{"sku": "A7", "gift": true}}') returning id \\gset
update {table} set status = 'paid', paid = true, updated = now() where id = :id;
commit;
""")

CLIENTS = (1, 8, 32)


READ = ("none", "pg_events", "notify")
"""The variants that somebody reads at once."""


def run(lab: Lab) -> None:
    for clients in CLIENTS:
        _transactions(lab, clients, read=False)
    for clients in CLIENTS:
        _transactions(lab, clients, read=True)


def _transactions(lab: Lab, clients: int, *, read: bool) -> None:
    title = f"oltp, {clients} clients" + (", read at once" if read else "")
    rates, cpu = samples(), samples()
    script = lab.server.directory / "oltp.sql"
    with lab.somebody_listens() if read else nullcontext():
        for variant in lab.turns(title, READ if read else VARIANTS):
            script.write_text(_SCRIPT.format(table=table(variant)).as_string(None))
            before = lab.cpu_seconds()
            transactions, rate = lab.pgbench(script, clients)
            rates[variant].append(rate)
            cpu[variant].append((lab.cpu_seconds() - before) / transactions * 1e6)
    lab.keep_samples(f"{title}: tx/s", rates, higher_is_better=True)
    lab.keep_samples(f"{title}: server CPU µs/tx", cpu)
