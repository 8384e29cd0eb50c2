-- What this role may do with what is installed, and where it could not put a trigger. Needs no right.
select
    pg_catalog.pg_get_userbyid(n.nspowner)::text as owner,
    pg_catalog.has_schema_privilege(n.oid, 'usage')
        and (
            select bool_and(pg_catalog.has_table_privilege(c.oid, 'select'))
            from pg_catalog.pg_class c
            where c.relnamespace = n.oid
              and c.relkind = 'r'
        ) as may_read
from pg_catalog.pg_namespace n
where n.nspname = 'pgevents'
