"""People shopping: writers that do to `shop.sql` what a small web shop's services do all day.

    traffic = Traffic(url, rate=20, seed=1)
    traffic.start()
    …
    traffic.stop()
    verdict = traffic.ledger.count_delivered(events)

Each *service* is a thread with a connection of its own. Each *act* is one transaction; it counts the rows it writes
(cascades too), and what was committed goes into the ledger.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from pg_events.demo.ledger import Ledger
from pg_events.errors import DatabaseUnreachable

ROLLBACK_SHARE: Final = 0.03
"""Share of the transactions that are rolled back at the last moment."""
CHORE_SECONDS: Final = 2.5
"""Interval between the acts of services that do not follow the rate."""


@dataclass
class Transaction:
    """An open transaction and the rows it has written so far."""

    connection: psycopg.Connection[tuple[Any, ...]]
    random: random.Random
    stopping: threading.Event
    writes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def write(
        self, table: str, method: str, query: LiteralString, parameters: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """Run a statement that writes rows of one table, and count them; returns what RETURNING returned."""
        cursor = self.connection.execute(query, parameters)
        self.writes[table, method] += cursor.rowcount
        return cursor.fetchall() if cursor.description else []

    def read(self, query: LiteralString, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, parameters).fetchall()

    def run(self, command: LiteralString) -> None:
        """Run a command that writes no rows."""
        self.connection.execute(command)

    @contextmanager
    def tried_in_vain(self) -> Generator[None, None, None]:
        """A savepoint that is rolled back, and the rows written in it with it."""
        before = self.writes.copy()
        self.connection.execute("savepoint attempt")
        yield
        self.connection.execute("rollback to savepoint attempt")
        self.writes = before


Act = Callable[[Transaction], None]


def open_cart(shop: Transaction) -> None:
    customer = shop.random.choice([None, shop.random.randint(1, 30)])
    shop.write(
        "carts",
        "INSERT",
        "insert into shop.carts (customer_id, items) values (%s, %s)",
        (customer, Jsonb(_items(shop.random))),
    )


def fill_cart(shop: Transaction) -> None:
    shop.write(
        "carts",
        "UPDATE",
        """update shop.carts
           set items = items || %s
           where id = (select id from shop.carts order by id desc limit 1 offset %s)""",
        (Jsonb(_items(shop.random)[:1]), shop.random.randint(0, 5)),
    )


def view_pages(shop: Transaction) -> None:
    paths = ["/", "/teapots", "/blankets", "/search?q=oak", "/cart", "/checkout", "/imprint"]
    agent = {"agent": shop.random.choice(["Firefox", "Safari", "Chrome"]), "mobile": shop.random.random() < 0.6}
    shop.write(
        "page_views",
        "INSERT",
        """insert into shop.page_views (at, visitor, path, milliseconds, client)
           select now() - %s * interval '1 day', gen_random_uuid(), path, 20 + random() * 300, %s
           from unnest(%s::text[]) as path""",
        # A late log file now and then: its rows land in another partition.
        (
            shop.random.choice([0] * 9 + [80]),
            json.dumps(agent),
            shop.random.choices(paths, k=shop.random.randint(2, 9)),
        ),
    )


def sweep_carts(shop: Transaction) -> None:
    """Remove the oldest ones, the forgotten; the latest twenty stay."""
    shop.write(
        "carts",
        "DELETE",
        """delete from shop.carts
           where id in (select id from shop.carts
                        where id < (select max(id) - 20 from shop.carts)
                        order by id limit 10 for update skip locked)""",
    )


def check_out(shop: Transaction) -> None:
    """A cart becomes an order: its items in one statement, the stock, the cart's end."""
    carts = shop.read("select id, customer_id, items from shop.carts order by id desc limit 1 for update skip locked")
    cart, customer, items = carts[0] if carts else (None, None, _items(shop.random))
    chosen = {item["product"]: item["quantity"] for item in items}  # one line a product
    products, quantities = list(chosen), list(chosen.values())
    ((order,),) = shop.write(
        "orders",
        "INSERT",
        """insert into shop.orders (customer_id, ship_to, note)
           select id, address, %s from shop.customers where id = %s
           returning id""",
        (shop.random.choice([None, None, "Gift wrap, please", "Déposer chez la voisine 🙏"]), customer or 1),
    )
    if shop.random.random() < 0.2:
        with shop.tried_in_vain():  # a voucher that turns out to have expired
            shop.write("orders", "UPDATE", "update shop.orders set total = 0, note = 'voucher' where id = %s", (order,))
    shop.write(
        "order_items",
        "INSERT",
        """insert into shop.order_items (order_id, position, product_id, quantity, unit_price)
           select %s, line.position, product.id, line.quantity, product.price
           from unnest(%s::bigint[], %s::integer[]) with ordinality as line (product_id, quantity, position)
           join shop.products as product on product.id = line.product_id""",
        (order, products, quantities),
    )
    shop.write(
        "orders",
        "UPDATE",
        """update shop.orders
           set total = (select coalesce(sum(line_total), 0) from shop.order_items where order_id = orders.id)
           where id = %s""",
        (order,),
    )
    for product in sorted(products):  # in one order everywhere, or two checkouts lock each other out
        shop.write(
            "stock",
            "UPDATE",
            "update shop.stock set on_hand = on_hand - %s, reserved = reserved + %s where product_id = %s",
            (chosen[product], chosen[product], product),
        )
    if cart is not None:
        shop.write("carts", "DELETE", "delete from shop.carts where id = %s", (cart,))


def pay(shop: Transaction) -> None:
    """The oldest unpaid order: its payment, and its new status."""
    for order, total in shop.read(
        "select id, total from shop.orders where status = 'pending' order by id limit 1 for update skip locked"
    ):
        shop.write(
            "payments",
            "INSERT",
            """insert into shop.payments (order_id, method, amount, receipt, paid_at)
               values (%s, %s, %s, %s, now() - %s * interval '1 day')""",
            (
                order,
                shop.random.choice(["card", "card", "transfer", "voucher"]),
                total,
                shop.random.randbytes(12),
                shop.random.choice([0, 0, 0, 31]),
            ),
        )
        shop.write("orders", "UPDATE", "update shop.orders set status = 'paid' where id = %s", (order,))


def advance_orders(shop: Transaction) -> None:
    """Several at once: paid to packed, packed to shipped, shipped to delivered."""
    before, after = shop.random.choice([("paid", "packed"), ("packed", "shipped"), ("shipped", "delivered")])
    shop.write(
        "orders",
        "UPDATE",
        """update shop.orders
           set status = %s::shop.order_status
           where id in (select id from shop.orders
                        where status = %s::shop.order_status
                        order by id limit 20 for update skip locked)""",
        (after, before),
    )


def restock(shop: Transaction) -> None:
    shop.write(
        "stock",
        "UPDATE",
        "update shop.stock set on_hand = on_hand + %s, reserved = 0, counted_at = now() where product_id = %s",
        (shop.random.randint(5, 60), shop.random.randint(1, 50)),
    )


def cancel_order(shop: Transaction) -> None:
    shop.write(
        "orders",
        "UPDATE",
        """update shop.orders
           set status = 'cancelled', note = 'cancelled by the customer'
           where id = (select id from shop.orders
                       where status = 'pending'
                       order by id desc limit 1 for update skip locked)""",
    )


def forget_old_order(shop: Transaction) -> None:
    """Its items go with it by `on delete cascade`: they are counted while they can be."""
    for (order,) in shop.read(
        """select id from shop.orders
           where status in ('delivered', 'cancelled')
           order by id limit 2 for update skip locked"""
    ):
        ((items,),) = shop.read("select count(*) from shop.order_items where order_id = %s", (order,))
        shop.write("orders", "DELETE", "delete from shop.orders where id = %s", (order,))
        shop.writes["order_items", "DELETE"] += items


def edit_customers_slowly(shop: Transaction) -> None:
    """Someone opens a form, goes for a coffee and saves: one to three seconds between two writes."""
    for customer in sorted(shop.random.sample(range(1, 31), 2)):
        shop.write(
            "customers",
            "UPDATE",
            "update shop.customers set tags = array_append(array_remove(tags, 'called'), 'called') where id = %s",
            (customer,),
        )
        shop.stopping.wait(shop.random.uniform(0.5, 1.5))


def change_prices(shop: Transaction) -> None:
    shop.write(
        "products",
        "UPDATE",
        "update shop.products set price = round(price * %s, 2), changed_at = now() where id %% 3 = %s",
        (shop.random.choice(["0.95", "1.05"]), shop.random.randint(0, 2)),
    )


def add_column(shop: Transaction) -> None:
    shop.run("set local lock_timeout = '2s'")
    shop.run("alter table shop.products add column if not exists season text")
    shop.write("products", "UPDATE", "update shop.products set season = 'autumn' where id <= 5")


def drop_column(shop: Transaction) -> None:
    shop.run("set local lock_timeout = '2s'")
    shop.run("alter table shop.products drop column if exists season")


def comment_on_column(shop: Transaction) -> None:
    comments: Sequence[LiteralString] = (
        "comment on column shop.stock.shelf is 'Row and place, for example B-07'",
        "comment on column shop.stock.shelf is null",
    )
    shop.run(shop.random.choice(comments))


def _items(random: random.Random) -> list[dict[str, int]]:
    return [
        {"product": product, "quantity": random.randint(1, 3)}
        for product in random.sample(range(1, 51), random.randint(1, 5))
    ]


@dataclass(frozen=True)
class Service:
    """One thread: its `application_name`, and what it does how often."""

    name: str
    acts: Mapping[Act, int]
    """Acts with their weights."""
    share: float = 0.0
    """Share of the traffic's rate; 0 runs the acts in turn, one every `CHORE_SECONDS`."""


SERVICES: Final = (
    Service("web", {view_pages: 5, open_cart: 6, fill_cart: 3, sweep_carts: 1}, share=0.45),
    Service("checkout", {check_out: 4, pay: 4}, share=0.35),
    Service("warehouse", {advance_orders: 6, restock: 3, cancel_order: 1, forget_old_order: 2}, share=0.2),
    Service(
        "migrations",
        {add_column: 1, edit_customers_slowly: 1, comment_on_column: 1, change_prices: 1, drop_column: 1},
    ),
)


class Traffic:
    """Live traffic on a database with the demo's shop in it, about `rate` transactions a second."""

    def __init__(self, database_url: str, *, rate: float, seed: int | None = None) -> None:
        self.ledger = Ledger()
        """Ledger of committed rows; complete once `stop()` has returned."""
        self._database_url = database_url
        self._rate = rate
        self._seed = random.randrange(2**32) if seed is None else seed
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []

    def start(self) -> None:
        """Returns once every service is connected. Raises `DatabaseUnreachable` when one is not."""
        connections: list[psycopg.Connection[tuple[Any, ...]]] = []
        try:
            for service in SERVICES:
                connections.append(self._connect(service))
        except psycopg.OperationalError as error:
            for connection in connections:
                connection.close()
            raise DatabaseUnreachable(f"the shop's database does not answer: {error}") from error
        for service, connection in zip(SERVICES, connections, strict=True):
            thread = threading.Thread(target=self._serve, args=(service, connection), name=service.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Finish the open transactions, then return. Raises what made a service give up, if one did."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _connect(self, service: Service) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self._database_url, application_name=service.name, connect_timeout=5)

    def _serve(self, service: Service, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        try:
            pace = self._acts(service)
            chance = random.Random(f"{self._seed} {service.name}")
            for act in pace:
                if connection.closed:
                    connection.close()
                    if (again := self._reconnect(service, chance)) is None:
                        return
                    connection = again
                self._perform(act, Transaction(connection, chance, self._stopping))
        except Exception as error:  # noqa: BLE001 - `stop()` raises it
            self._failures.append(error)
        finally:
            connection.close()

    def _acts(self, service: Service) -> Iterator[Act]:
        """Yield the acts at their times until the end. Delays of a slow database are not made up for."""
        chance = random.Random(f"{self._seed} acts of {service.name}")
        acts, weights = list(service.acts), list(service.acts.values())
        due = time.monotonic()
        for turn in range(2**63):
            if service.share:
                act = chance.choices(acts, weights)[0]
                seconds = chance.expovariate(service.share * self._rate)
            else:
                act = acts[turn % len(acts)]
                seconds = CHORE_SECONDS * chance.uniform(0.8, 1.2)
            due = max(due + seconds, time.monotonic() - 1)
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            yield act

    def _reconnect(self, service: Service, chance: random.Random) -> psycopg.Connection[tuple[Any, ...]] | None:
        """Again and again, ever more slowly, up to two seconds; None when the traffic ends first."""
        seconds = 0.05
        while not self._stopping.wait(seconds * chance.uniform(0.5, 1.0)):
            try:
                return self._connect(service)
            except psycopg.OperationalError:
                seconds = min(2.0, seconds * 2)
        return None

    def _perform(self, act: Act, transaction: Transaction) -> None:
        """One transaction, and its line in the ledger. A lost connection is left closed for the caller to notice."""
        connection = transaction.connection
        try:
            act(transaction)
            if transaction.random.random() < ROLLBACK_SHARE:
                connection.rollback()
                return
            ((xid,),) = transaction.read("select pg_current_xact_id()::text")
        except psycopg.Error as error:
            _undo(connection, error)
            return
        try:
            connection.commit()
        except psycopg.Error as error:
            if connection.closed:
                self.ledger.unknown(int(xid), transaction.writes)
            _undo(connection, error)
        else:
            self.ledger.committed(int(xid), transaction.writes)


def _undo(connection: psycopg.Connection[tuple[Any, ...]], error: psycopg.Error) -> None:
    """Roll back what met another's lock or lost its connection; any other error is a mistake and goes on up."""
    if connection.closed:
        return
    connection.rollback()
    if not isinstance(error, psycopg.OperationalError):  # locks, deadlocks, cancelled statements are operational
        raise error
