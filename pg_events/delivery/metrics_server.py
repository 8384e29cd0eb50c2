"""`/metrics` and `/healthz` over HTTP, for Prometheus and for supervisors that restart what is unhealthy.

A few threads serve it. Each request has a deadline, a new client displaces one that has not finished its request, and
scrapes leave room for `/healthz`: whatever clients do, delivery goes on and the health check is answered.
"""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler

from pg_events.config.fields import Address
from pg_events.errors import UsageError
from pg_events.text import clean, one_line

_CLIENTS: Final = 8
"""Maximum concurrent clients; one more displaces the oldest that has not finished its request."""
_SCRAPES: Final = 4
"""Maximum concurrent `/metrics`, so that slow readers of it leave room for `/healthz`."""
_SECONDS: Final = 5.0
"""Deadline of one request, from the connection to the last byte of its answer."""
_CHECK_SECONDS: Final = 0.25
"""Interval at which deadlines are checked."""


@contextlib.contextmanager
def serving(
    wanted: Address,
    registry: CollectorRegistry,
    trouble: Callable[[], str | None],
    state: Callable[[], str] = lambda: "ok",
) -> Generator[Address]:
    """Serve during the block; yields the address with the actual port.

    `trouble` returns why the worker is unhealthy, in one line, or None; `state` how it is while healthy.
    Raises `UsageError` if the address cannot be used.
    """
    given = {"registry": registry, "trouble": staticmethod(trouble), "state": staticmethod(state)}
    handler = type("Handler", (_Handler,), given)
    try:
        family, *_, found = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = _Server(family, found, handler)
    except (OSError, UnicodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "not a valid address"
        raise UsageError(
            f"metrics cannot be served on {clean(str(wanted))}: {one_line(reason)}; each worker needs its own port, "
            "set one with --metrics or PG_EVENTS_METRICS"
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, args=(_CHECK_SECONDS,), name="pg_events metrics", daemon=True
    )
    thread.start()
    try:
        yield Address(wanted.host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@dataclass(eq=False)
class _Client:
    """Connection that is being served."""

    socket: socket.socket
    deadline: float
    has_asked: bool = False
    """True once the request was read, so that only the answer remains."""

    def cut_off(self) -> None:
        """Abort reads and writes of its thread; the thread closes the socket."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    """HTTP server; unlike `HTTPServer`, it does not look up its own name in the DNS."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, family: int, address: Any, handler: Any) -> None:
        self.address_family = family
        self.scrapes = threading.BoundedSemaphore(_SCRAPES)
        self._clients: dict[Any, _Client] = {}
        """Clients by socket, oldest first."""
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._admit(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """Cut off clients whose deadline has passed, however steadily they drip."""
        now = time.monotonic()
        with self._lock:
            for client in self._clients.values():
                if client.deadline < now:
                    client.cut_off()

    def note_asked(self, request: Any) -> None:
        """Mark the client as having sent its request, so that it is no longer displaced."""
        with self._lock:
            if (client := self._clients.get(request)) is not None:
                client.has_asked = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a client that disconnected or was too slow."""

    def _admit(self, request: Any) -> bool:
        with self._lock:
            if len(self._clients) >= _CLIENTS:
                idle = next((one for one in self._clients.values() if not one.has_asked), None)
                if idle is None:
                    return False
                idle.cut_off()
                del self._clients[idle.socket]
            self._clients[request] = _Client(request, time.monotonic() + _SECONDS)
            return True

    def _forget(self, request: Any) -> None:
        with self._lock:
            self._clients.pop(request, None)


class _Handler(MetricsHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _SECONDS
    trouble: Callable[[], str | None]
    state: Callable[[], str]

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        """Answer `/metrics` and `/healthz`."""
        self.server.note_asked(self.connection)
        match urlsplit(self.path).path:
            case "/metrics":
                self._scrape()
            case "/healthz":
                reason = self.trouble()
                status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, self.state() if reason is None else reason)
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "not found; available: /metrics and /healthz")

    def _scrape(self) -> None:
        if not self.server.scrapes.acquire(blocking=False):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{_SCRAPES} scrapes are being answered; try again")
            return
        try:
            super().do_GET()
        finally:
            self.server.scrapes.release()

    def _answer(self, status: HTTPStatus, line: str) -> None:
        body = f"{one_line(line)}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
