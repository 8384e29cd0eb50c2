"""Small shop with live traffic on a temporary PostgreSQL, for `pg_events demo` and the tests."""
