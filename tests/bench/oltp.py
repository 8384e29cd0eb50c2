"""1: transactions of one insert and one update: throughput, and CPU of the server for each."""

from lab import Lab, samples
from psycopg.sql import SQL
from variants import table

_SCRIPT = SQL("""
begin;
insert into {table} (customer, status, total, note, amount, paid, details)
values (7, 'new', 12.50, 'leave it at the door', 3, false, '{{"sku": "A7", "gift": true}}') returning id \\gset
update {table} set status = 'paid', paid = true, updated = now() where id = :id;
commit;
""")

CLIENTS = (1, 8, 32)


def run(lab: Lab) -> None:
    for clients in CLIENTS:
        _transactions(lab, clients)


def _transactions(lab: Lab, clients: int) -> None:
    rates, cpu = samples(), samples()
    script = lab.server.directory / "oltp.sql"
    with lab.somebody_listens():
        for variant in lab.turns(f"{clients} clients"):
            script.write_text(_SCRIPT.format(table=table(variant)).as_string(None))
            before = lab.cpu_seconds()
            transactions, rate = lab.pgbench(script, clients)
            rates[variant].append(rate)
            cpu[variant].append((lab.cpu_seconds() - before) / transactions * 1e6)
    lab.keep_samples(f"oltp, {clients} clients: tx/s", rates, higher_is_better=True)
    lab.keep_samples(f"oltp, {clients} clients: server CPU µs/tx", cpu)
