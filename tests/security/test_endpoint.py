"""Slow clients of `/metrics` and `/healthz` take neither from those that ask properly."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pg_events.config.fields import Address
from pg_events.delivery.metrics_server import serving
from tests.waiting import PATIENCE_SECONDS

ANYWHERE = Address("127.0.0.1", 0)


class Blocked(Collector):
    """A scrape that lasts until it is released."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.begun.release()
        assert self.released.wait(PATIENCE_SECONDS)
        yield GaugeMetricFamily("one", "One.", 1)


def connected(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=PATIENCE_SECONDS)


def asked(address: Address, path: str) -> bytes:
    with connected(address) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_clients_that_never_finish_their_request_leave_the_health_check_alone() -> None:
    with serving(ANYWHERE, CollectorRegistry(), lambda: None) as address:
        clients = [connected(address) for _ in range(8)]
        for client in clients:
            client.sendall(b"GET /metr")

        begin = time.monotonic()
        answers = [asked(address, "/healthz") for _ in range(20)]
        seconds = time.monotonic() - begin

        assert all(answer.endswith(b"ok\n") for answer in answers)
        assert seconds < 5
        for client in clients:
            client.close()


def test_a_client_that_drips_is_cut_off_at_the_deadline_of_the_whole_request() -> None:
    with serving(ANYWHERE, CollectorRegistry(), lambda: None) as address, connected(address) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n")
        begin = time.monotonic()
        client.settimeout(0.2)
        while True:
            try:
                client.sendall(b"x")
                if not client.recv(1):
                    break
            except TimeoutError:
                assert time.monotonic() - begin < 20
            except ConnectionError:
                break

        assert time.monotonic() - begin < 10


def test_scrapes_that_take_long_leave_room_for_the_health_check() -> None:
    registry, blocked = CollectorRegistry(auto_describe=False), Blocked()
    blocked.describe = list  # type: ignore[method-assign] # registering collects otherwise
    registry.register(blocked)
    with serving(ANYWHERE, registry, lambda: None) as address:
        clients = [connected(address) for _ in range(4)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert blocked.begun.acquire(timeout=PATIENCE_SECONDS)

        refused, health = asked(address, "/metrics"), asked(address, "/healthz")
        blocked.released.set()
        served = [client.recv(100) for client in clients]

        assert b" 503 " in refused.split(b"\r\n")[0]
        assert health.endswith(b"ok\n")
        assert all(b" 200 " in answer for answer in served)
        for client in clients:
            client.close()


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_a_request_in_one_piece_is_answered(path: str) -> None:
    with serving(ANYWHERE, CollectorRegistry(), lambda: None) as address:
        assert b" 200 " in asked(address, path).split(b"\r\n")[0]
