"""Delivers events from the log to callbacks: workers, their shares, retries, failed events and metrics."""
