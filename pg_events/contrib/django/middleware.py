"""The middleware: request, method, path, route and user of a request are the context of what it writes."""

# pyright: basic
# Django has no types.

import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from inspect import iscoroutinefunction
from typing import Any, Final, cast

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from pg_events.contexts.current import context

_LENGTH: Final = 200
"""Characters of a request's identity that are kept of a header."""


class ContextMiddleware:
    """Gives each request a context, under WSGI and ASGI; the user is asked for at the first write.

    A user that is set later, as by the authentication of Django REST framework, is therefore found. Subclass it to add keys.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._awaited(request)
        with self._context(request):
            return self._get_response(request)

    async def _awaited(self, request: HttpRequest) -> HttpResponseBase:
        with self._context(request):
            return await cast("Awaitable[HttpResponseBase]", self._get_response(request))

    def _context(self, request: HttpRequest) -> AbstractContextManager[None]:
        return context(**self.keys(request))

    def keys(self, request: HttpRequest) -> dict[str, Any]:
        """Keys of the context of a request; a function is called at the first write."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        return {
            "request": given[:_LENGTH] or uuid.uuid4().hex,
            "method": request.method,
            "path": request.path,
            "route": lambda: getattr(request.resolver_match, "route", None),
            "user": lambda: _user(request),
        }


def _user(request: HttpRequest) -> Any:
    """Primary key of the user who is logged in; None if there is none."""
    user: Any = getattr(request, "user", None)
    return user.pk if user is not None and user.is_authenticated else None
