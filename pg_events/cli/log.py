"""Log lines on stderr, harmless for a terminal."""

import logging

from pg_events.text import clean


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = clean(super().format(record), keep_newlines=True)
        trace = getattr(record, "traceback", None)
        return f"{text}\n{clean(trace, keep_newlines=True).rstrip()}" if trace else text


def set_up_log(verbose: bool) -> None:
    """Log pg_events to stderr from INFO, or DEBUG, upwards."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("pg_events")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
