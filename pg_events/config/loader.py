"""Finds and imports the module or the file of a user's settings."""

import importlib
import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from pg_events.errors import UsageError
from pg_events.text import clean, describe_error


def import_settings(reference: str) -> ModuleType:
    """Import `my_module.settings` or `path/to/settings.py`. Raises `UsageError` of one line, even if its code fails."""
    is_file = reference.endswith(".py") or os.sep in reference
    return _import_file(reference) if is_file else _import_module(reference)


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"settings {clean(name)!r} is neither a module nor a file; use my_module.settings or path/to/settings.py"
        )
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"no settings module {name!r} ({error.name!r} not found from {current_directory()}); "
                "change to its folder, or pass the file: --settings path/to/settings.py"
            ) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _import_file(reference: str) -> ModuleType:
    path = _existing_file(reference)
    search_first(path.parent)
    # Under its own name, so that a callback in the same folder imports this module and not a second copy;
    # unless that name belongs to another module.
    name = path.stem
    if not name.isidentifier() or name in sys.stdlib_module_names or _is_other_module(name, path):
        name = f"pg_events_settings_{abs(hash(path))}"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(reference, error) from error
    return module


def _existing_file(reference: str) -> Path:
    shown = clean(reference)
    try:
        path = Path(reference).expanduser().resolve()
        if path.is_file():
            path.open("rb").close()
            return path
        if path.is_dir():
            raise UsageError(f"settings {shown!r} is a folder; pass the file: {shown.rstrip(os.sep)}/settings.py")
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"settings file {shown!r} cannot be read: {reason}") from error
    raise UsageError(f"no settings file {shown!r} (looked in {path.parent}); check the path given with --settings")


def _is_other_module(name: str, path: Path) -> bool:
    loaded = sys.modules.get(name)
    return loaded is not None and getattr(loaded, "__file__", None) != str(path)


def _broken(reference: str, error: BaseException) -> UsageError:
    return UsageError(f"settings {clean(reference)!r} cannot be loaded: {describe_error(error)}")


def current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory no longer exists; change into one that does") from None


def search_first(folder: Path) -> None:
    """Put the folder first in `sys.path`, so that its modules win over others of the same name."""
    path = str(folder)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
