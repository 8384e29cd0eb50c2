"""Frameworks and drivers: each module sends the current context with the writes of one of them."""
