-- Locks all tables of the schema before a migration alters the first: the longer one is held while others are waited for, the
-- more certain is a deadlock with a worker or a writer. Writers look at the sequence first, then a bulk statement writes to
-- pgevents.statement.
do $do$
declare
    _name name;
begin
    -- A sequence cannot be locked; this changes nothing.
    alter sequence if exists pgevents.sleeper owned by none;
    for _name in
        select c.relname
        from pg_catalog.pg_class c
        where c.relnamespace = 'pgevents'::regnamespace
          and c.relkind = 'r'
        order by c.relname <> 'statement', c.relname <> 'event', c.relname
    loop
        execute pg_catalog.format('lock table only pgevents.%I in access exclusive mode', _name);
    end loop;
end
$do$;
