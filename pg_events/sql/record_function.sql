insert into pgevents.installed (name, source, definition)
select '{name}', '{source}', md5(pg_get_functiondef(p.oid) || coalesce(p.proacl::text, ''))
from pg_catalog.pg_proc p
where p.pronamespace = 'pgevents'::regnamespace and p.proname = '{name}'
on conflict (name) do update set source = excluded.source, definition = excluded.definition;
