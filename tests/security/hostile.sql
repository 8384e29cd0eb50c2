-- A schema `public` that lies in wait: functions, operators, types and relations with the names that pg_events uses ($words),
-- for the same arguments as those of PostgreSQL, and for the types of its own columns where PostgreSQL takes any. Each says
-- so in the server's log when it is met. Run with search_path = pg_catalog.
create function public.met(what text) returns boolean language plpgsql security definer set search_path = pg_catalog as $met$
begin
    raise log 'hostile: % for %', what, session_user;
    return true;
end
$met$;
grant execute on function public.met(text) to public;

do $do$
declare
    words constant text[] := (select array_agg(word) from word);
    found record;
    refused integer := 0;
    made integer := 0;
begin
    for found in
        -- As PostgreSQL has them.
        select distinct
            'function' as kind,
            p.proname::text as name,
            pg_get_function_arguments(p.oid) as arguments,
            pg_get_function_result(p.oid) as result,
            p.oid
        from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (words)
        union all
        -- Where any type will do, one for the very type is nearer.
        select
            'function', f.name, t.type || case when f.name in ('string_agg') then ', text' else '' end, f.result, 0
        from (values
            ('to_json', 'json'), ('to_jsonb', 'jsonb'), ('row_to_json', 'json'), ('pg_typeof', 'regtype'),
            ('pg_column_size', 'integer'), ('json_agg', 'json'), ('json_build_array', 'json'), ('count', 'bigint'),
            ('array_agg', 'text[]'), ('unnest', 'text'), ('max', 'bigint'), ('min', 'bigint'), ('array_length', 'integer'),
            ('cardinality', 'integer'), ('format', 'text'), ('concat', 'text')
        ) f (name, result)
        cross join (values
            ('timestamptz'), ('text'), ('bigint'), ('integer'), ('json'), ('jsonb'), ('text[]'), ('bigint[]'), ('integer[]'),
            ('boolean'), ('name'), ('"char"'), ('xid8'), ('pg_snapshot'), ('smallint'), ('oid'), ('name[]')
        ) t (type)
    loop
        begin
            execute format(
                'create function public.%I(%s) returns %s language plpgsql as %L',
                found.name, found.arguments, found.result,
                format('begin perform public.met(%L); %s end', found.name || '(' || found.arguments || ')',
                    case when found.result ~ '^(SETOF|TABLE|void)' then 'return;' else 'return null;' end)
            );
            made := made + 1;
        exception when others then
            refused := refused + 1;
        end;
    end loop;
    for found in
        select o.oprname::text as name, o.oprleft, o.oprright, o.oprresult
        from pg_operator o
        where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprleft <> 0
    loop
        begin
            execute format(
                'create function public.%I(%s, %s) returns %s language plpgsql as %L',
                'operator ' || found.name, found.oprleft::regtype, found.oprright::regtype, found.oprresult::regtype,
                format('begin perform public.met(%L); return null; end', format('operator %s(%s, %s)', found.name, found.oprleft::regtype, found.oprright::regtype))
            );
            execute format(
                'create operator public.%s (leftarg = %s, rightarg = %s, function = public.%I)',
                found.name, found.oprleft::regtype, found.oprright::regtype, 'operator ' || found.name
            );
            made := made + 1;
        exception when others then
            refused := refused + 1;
        end;
    end loop;
    for found in
        select t.typname::text as name from pg_type t
        where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typcategory <> 'A' and t.typname = any (words)
    loop
        execute format('create domain public.%1$I as pg_catalog.%1$I check (public.met(%2$L))', found.name, 'type ' || found.name);
        made := made + 1;
    end loop;
    for found in
        select c.relname::text as name, (
            select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
            from pg_attribute a
            join pg_type t on t.oid = a.atttypid
            where a.attrelid = c.oid and a.attnum > 0 and t.typtype <> 'p'
        ) as columns
        from pg_class c
        where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v') and c.relname = any (words)
    loop
        execute format(
            'create view public.%1$I as select %2$s from pg_catalog.%1$I where public.met(%3$L)',
            found.name, found.columns, 'relation ' || found.name
        );
        made := made + 1;
    end loop;
    raise log 'hostile schema: % made, % refused', made, refused;
end
$do$;
grant usage on schema public to public;
