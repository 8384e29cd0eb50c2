"""The application: starts, asks, notifies, and ends."""
