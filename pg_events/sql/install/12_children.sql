-- The partitions of a table, or the tables that inherit from it, of all levels.
create or replace function pgevents.children(relation oid)
returns setof oid
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $function$
    with recursive child (relid) as (
        select i.inhrelid from pg_inherits i where i.inhparent = relation
        union
        select i.inhrelid from child c join pg_inherits i on i.inhparent = c.relid
    )
    select c.relid
    from child c
    join pg_class k on k.oid = c.relid and k.relkind in ('r', 'p')
$function$;
