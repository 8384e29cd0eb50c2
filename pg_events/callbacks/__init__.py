"""The user's functions: loaded, called, routed to, and isolated in a child process."""
