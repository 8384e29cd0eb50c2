select c.oid, c.relname, c.relkind, p.capability, p.privilege
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    -- Not what values are hashed with: who has the key can try out which value gives a hash.
    select 'reader', 'SELECT'
    where c.relkind in ('r', 'v') and c.relname <> 'secret'
    union all
    select 'worker', w.privilege
    from unnest(array['INSERT', 'UPDATE', 'DELETE']) w (privilege)
    where c.relkind = 'r'
      and c.relname not in ('secret', 'migration', 'setting', 'installed', 'event', 'statement', 'shape')
    union all
    select 'worker', w.privilege
    from unnest(array['DELETE', 'MAINTAIN']) w (privilege)
    where c.relname in ('event', 'statement', 'shape')
      and (w.privilege = 'DELETE' or current_setting('server_version_num')::integer >= 170000)
    union all
    select 'worker', w.privilege
    from unnest(array['USAGE', 'UPDATE']) w (privilege)
    where c.relname = 'sleeper'
) p (capability, privilege)
where n.nspname = 'pgevents'
union all
select n.oid, n.nspname, 'n', c.name, 'USAGE'
from pg_catalog.pg_namespace n
cross join (values ('reader'), ('emitter')) c (name)
where n.nspname = 'pgevents'
union all
select p.oid, p.proname, 'f', 'emitter', 'EXECUTE'
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'pgevents' and p.proname = 'emit'
