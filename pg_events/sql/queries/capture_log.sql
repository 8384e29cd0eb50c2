-- The database, whether it has a log, and whether this role may read it: asked of the catalog, so that no answer is an error.
-- It runs on a connection of the user's, along his search_path: every function, type and operator is qualified.
select
    pg_catalog.current_database()::pg_catalog.text,
    current_user::pg_catalog.text,
    e.oid is not null,
    coalesce(
        pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(e.oid, 'select'), false
    )
from (values ('pgevents'::pg_catalog.name)) w (name)
left join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) w.name
left join pg_catalog.pg_class e
    on e.relnamespace operator(pg_catalog.=) n.oid and e.relname operator(pg_catalog.=) 'event'::pg_catalog.name
