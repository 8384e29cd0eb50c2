-- What the triggers of the table $1.$2 and of its partitions were told, as JSON: kind of treatment -> number of the column
-- -> its names. And the choices of the last build, by patterns of tables.
select
    array(
        select distinct pg_catalog.convert_from(
            pg_catalog.rtrim(t.tgargs, pg_catalog.decode('00', 'hex')),
            pg_catalog.getdatabaseencoding()::pg_catalog.name
        )
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc f on f.oid = t.tgfoid
        join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
        join pg_catalog.pg_class c on c.relname = $2
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = $1
        where fn.nspname = 'pgevents'
          and t.tgnargs = 1
          and (t.tgrelid = c.oid or t.tgrelid in (select p.relid from pg_catalog.pg_partition_tree(c.oid) p))
    ) as told,
    (select s.value from pgevents.setting s where s.name = 'choices') as choices
