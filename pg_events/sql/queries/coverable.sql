-- Of the tables $1 (their OIDs) those on which the role that builds, and covers what is new, may not create triggers.
select c.oid, b.name as builder
from pg_catalog.pg_class c
cross join (
    select coalesce(
        (select pg_catalog.pg_get_userbyid(n.nspowner) from pg_catalog.pg_namespace n where n.nspname = 'pgevents'), current_user
    )::text as name
) b
where c.oid = any ($1::oid[])
  and not (
      pg_catalog.has_table_privilege(b.name, c.oid, 'trigger')
      and pg_catalog.has_schema_privilege(b.name, c.relnamespace, 'usage')
  )
