-- The tables that this transaction, or one since it began, made or altered, with the partitions of each; no partitions that
-- still are some. Nothing leads to them but a look at all.
create or replace function pgevents.altered_tables()
returns setof oid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = on
as $function$
begin
    return query
    select t.oid
    from pg_class c
    cross join lateral (
        select c.oid
        union
        select p.relid::oid from pg_partition_tree(c.oid) p
    ) t
    where age(c.xmin) <= 0
      and c.relkind in ('r', 'p')
      and c.relpersistence <> 't'
      and not c.relispartition;
end
$function$;
revoke execute on function pgevents.altered_tables() from public;
