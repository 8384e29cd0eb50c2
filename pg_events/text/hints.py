"""Remedies for errors that other libraries raise in callbacks and settings. Imports none of them."""

import sys
from typing import Any, Final

_REMEDY: Final = (
    "; before it imports models a module calls django.setup(), and DJANGO_SETTINGS_MODULE names the settings of "
    "the project"
)
_HINTED: Final = ("AppRegistryNotReady", "ImproperlyConfigured")


def hint(error: BaseException) -> str:
    """Remedy for an error that says that Django is not set up; else empty."""
    kind = type(error)
    if kind.__module__ != "django.core.exceptions" or kind.__name__ not in _HINTED or is_django_ready():
        return ""
    return _REMEDY


def is_django_ready() -> bool:
    """True if this process has set up Django."""
    apps: Any = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.ready)
