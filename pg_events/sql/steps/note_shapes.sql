-- Note the columns of every table, so that the first ALTER TABLE after a build can tell the difference.
do $do$
begin
    -- Behind every event that there is, and before every one to come.
    perform pgevents.note_shape(greatest(
        (select max(e.id) from pgevents.event e), (select max(s.id) from pgevents.shape s), 0
    ) + 1, array(
        select c.oid
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p')
          and c.relpersistence <> 't'
          and n.nspname not in ('pgevents', 'information_schema')
          and n.nspname not like 'pg\_%'
    ));
end
$do$;
