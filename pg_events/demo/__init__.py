"""A small shop on a throw-away PostgreSQL, with live traffic: what `pg_events demo` runs and the tests run on."""
