"""`/metrics` and `/healthz` over HTTP, for Prometheus and for whoever restarts what is ill.

It has threads of its own, few of them, and ends those that talk too slowly: whatever a client does, delivery goes on.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler

from pg_events.constants import Address
from pg_events.errors import UsageError
from pg_events.text import clean, one_line

_CLIENTS: Final = 8
"""So many are served at a time; who comes then is sent away."""
_SECONDS: Final = 10.0
"""So long a client may leave a read or a write waiting."""


@contextlib.contextmanager
def serving(wanted: Address, registry: CollectorRegistry, trouble: Callable[[], str | None]) -> Generator[Address]:
    """Serve in the block, and give the address with the port that was chosen. `trouble` is asked for what ails the worker:
    a line, or None. Raises `UsageError` when the address cannot be had.
    """
    handler = type("Handler", (_Handler,), {"registry": registry, "trouble": staticmethod(trouble)})
    try:
        family, *_, found = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = _Server(family, found, handler)
    except (OSError, UnicodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is no address"
        raise UsageError(
            f"metrics cannot be served on {clean(str(wanted))}: {one_line(reason)}; each worker needs a port of its own, "
            "give one with --metrics or PG_EVENTS_METRICS"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="pg_events metrics", daemon=True)
    thread.start()
    try:
        yield Address(wanted.host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    """Not `HTTPServer`, which asks the DNS for its own name."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, family: int, address: Any, handler: Any) -> None:
        self.address_family = family
        self._places = threading.BoundedSemaphore(_CLIENTS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or that was too slow, is nobody's failure."""


class _Handler(MetricsHandler):
    timeout = _SECONDS
    trouble: Callable[[], str | None]

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        """`/metrics` and `/healthz`."""
        match urlsplit(self.path).path:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                ails = self.trouble()
                self._answer(HTTPStatus.OK if ails is None else HTTPStatus.SERVICE_UNAVAILABLE, ails or "ok")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "there are /metrics and /healthz")

    def _answer(self, status: HTTPStatus, line: str) -> None:
        body = f"{one_line(line)}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
