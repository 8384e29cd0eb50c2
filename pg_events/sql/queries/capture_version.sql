-- The version of the log's schema, on a connection of the user's: every function and type is qualified.
select coalesce(pg_catalog.max(m.version), 0)::pg_catalog.text from pgevents.migration m
