"""Plugin of pytest that captures the events of a test. Loaded automatically if pg_events is installed.

Every run of pytest imports this module, so it imports nothing before the fixture is used.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pg_events.testing.capture import Captured


@pytest.fixture(scope="session")
def capture_events() -> "Callable[..., AbstractContextManager[Captured]]":
    """Capture events: `with capture_events(database_url) as captured:`.

    Takes the arguments of `pg_events.capture`: a URL or a connection, and `build=True` to install the triggers first.
    """
    from pg_events.testing.capture import capture

    return capture
