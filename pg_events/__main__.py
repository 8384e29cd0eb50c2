"""`python -m pg_events`: the same as the command."""

from pg_events.cli import main

main()
