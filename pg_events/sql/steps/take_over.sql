-- Gives the schema, and everything in it, to the role that builds, which may more than the owner so far. Until the end of
-- this transaction nothing in it is read, called or written: what the owner so far put there would run with our rights.
set local search_path = pg_catalog, pg_temp;
set local standard_conforming_strings = on;
set local check_function_bodies = off;
set pgevents.building = on;
do $do$
declare
    _command text;
begin
    -- Functions of the owner's that would run at our very next command. DROP EVENT TRIGGER itself fires none.
    for _command in
        select pg_catalog.format('drop event trigger %I', e.evtname)
        from pg_catalog.pg_event_trigger e
        join pg_catalog.pg_proc p on p.oid = e.evtfoid
        where p.pronamespace = 'pgevents'::regnamespace
    loop
        execute _command;
    end loop;

    -- From here on the owner so far waits for us, and then may no longer.
    execute pg_catalog.format('alter schema pgevents owner to %I', current_user);
    for _command in
        select pg_catalog.format(
            'alter %s %s owner to %I', case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end,
            c.oid::regclass, current_user
        )
        from pg_catalog.pg_class c
        where c.relnamespace = 'pgevents'::regnamespace
          and c.relkind in ('r', 'v', 'S')
          -- One that a column owns goes with its table.
          and not exists (
              select from pg_catalog.pg_depend d
              where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
                and d.deptype in ('a', 'i') and c.relkind = 'S'
          )
        union all
        select pg_catalog.format('alter type %s owner to %I', t.oid::regtype, current_user)
        from pg_catalog.pg_type t
        where t.typnamespace = 'pgevents'::regnamespace
          and t.typtype = 'e'
        union all
        select pg_catalog.format('alter routine %s owner to %I', p.oid::regprocedure, current_user)
        from pg_catalog.pg_proc p
        where p.pronamespace = 'pgevents'::regnamespace
    loop
        execute _command;
    end loop;
end
$do$;

{detach}

-- Quoted otherwise than what stands in it.
do $take_over$
declare
    _command text;
    _found constant text[] := array(select d.part from ({describe}) d);
    _wanted text[];
    _functions text[];
    _part text;
begin
    -- Default values, conditions and views run code, too: they must be those that this release makes.
    {compare}
    for _command in
        select pg_catalog.format('drop routine %s cascade', d.oid::regprocedure)
        from ({describe_functions}) d
        where d.signature <> all (_functions)
    loop
        execute _command;
    end loop;

    -- A condition is code as well, and would run with our rights: those of the settings are told by the build that follows.
    update pgevents.setting set value = (value::jsonb - 'when')::text where name = 'choices';
    for _command in
        select pg_catalog.regexp_replace(
            pg_catalog.replace(
                pg_catalog.pg_get_triggerdef(t.oid),
                '''' || pg_catalog.replace(t.argument, '''', '''''') || '''',
                '''' || pg_catalog.replace((t.argument::jsonb - 'when')::text, '''', '''''') || ''''
            ),
            '^CREATE TRIGGER', 'create or replace trigger'
        )
        from (
            select
                g.oid,
                pg_catalog.convert_from(
                    pg_catalog.rtrim(g.tgargs, pg_catalog.decode('00', 'hex')), pg_catalog.getdatabaseencoding()::name
                ) as argument
            from pg_catalog.pg_trigger g
            join pg_catalog.pg_proc p on p.oid = g.tgfoid
            where p.pronamespace = 'pgevents'::regnamespace
              and p.proname = 'capture_chosen'
              and g.tgnargs = 1
              and g.tgparentid = 0
        ) t
        where t.argument::jsonb ? 'when'
    loop
        execute _command;
    end loop;

    delete from pgevents.installed; -- it could call a changed function unchanged
end
$take_over$;
