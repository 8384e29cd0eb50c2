"""Events from the log into callbacks: workers, their shares, retries, failed events and metrics."""
