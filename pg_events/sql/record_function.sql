-- The digest of what the database made of a function: its definition, and who may call it besides its owner.
insert into pgevents.installed (name, source, definition)
select '{name}', '{source}', md5(pg_catalog.pg_get_functiondef(p.oid) || coalesce((
    select string_agg(a.grantee::text, ' ' order by a.grantee)
    from pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    where a.grantee <> p.proowner
), ''))
from pg_catalog.pg_proc p
where p.pronamespace = 'pgevents'::regnamespace and p.proname = '{name}'
on conflict (name) do update set source = excluded.source, definition = excluded.definition;
