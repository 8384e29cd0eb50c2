with schema as (
    select n.oid, n.nspowner, n.nspacl from pg_catalog.pg_namespace n where n.nspname = 'pgevents'
),
granted as (
    select r.oid as role, g.key as name, g.value as capability
    from pg_catalog.jsonb_each_text(
        coalesce((select s.value::jsonb from pgevents.setting s where s.name = 'grants'), '{}')
    ) g
    join pg_catalog.pg_roles r on r.rolname = g.key
    where r.oid <> (select s.nspowner from schema s)
),
wanted as (
    select g.role, w.oid as object, w.relkind, w.relname, w.privilege
    from granted g
    join (
        {rights_wanted}
    ) w on w.capability = any (pg_catalog.string_to_array(g.capability, ' ')) or g.capability = 'worker'
),
held as (
    select s.oid as object, 'n'::"char" as relkind, 'pgevents'::name as relname, null::name as attname, a.*
    from schema s
    cross join lateral pg_catalog.aclexplode(s.nspacl) a
    union all
    select c.oid, c.relkind, c.relname, null, a.*
    from schema s
    join pg_catalog.pg_class c on c.relnamespace = s.oid
    cross join lateral pg_catalog.aclexplode(c.relacl) a
    union all
    select c.oid, c.relkind, c.relname, t.attname, a.*
    from schema s
    join pg_catalog.pg_class c on c.relnamespace = s.oid
    join pg_catalog.pg_attribute t on t.attrelid = c.oid
    cross join lateral pg_catalog.aclexplode(t.attacl) a
    union all
    select p.oid, 'f', p.proname, null, a.*
    from schema s
    join pg_catalog.pg_proc p on p.pronamespace = s.oid and p.proname = 'emit'
    cross join lateral pg_catalog.aclexplode(p.proacl) a
),
difference as (
    select
        h.grantee as role, h.relkind, h.relname, h.attname,
        h.privilege_type as privilege,
        true as is_foreign
    from held h
    where h.grantee <> (select s.nspowner from schema s)
      -- Functions that were running when migration 7 took them from this role still run as the role.
      and (
          h.grantee = (select r.oid from pg_catalog.pg_roles r where r.rolname = 'pgevents_capture')
          and exists (
              select from pgevents.migration m
              where m.version = 7
                and (
                    m.applied_at > pg_catalog.clock_timestamp() - interval '1 minute'
                    or exists (
                        select from pg_catalog.pg_stat_activity a
                        where a.datname = pg_catalog.current_database() and a.xact_start <= m.applied_at
                    )
                )
          )
      ) is not true
      and (
          h.is_grantable
          or h.attname is not null
          or not exists (
              select from wanted w
              where w.role = h.grantee and w.object = h.object and w.privilege = h.privilege_type
          )
      )
    union all
    select w.role, w.relkind, w.relname, null, w.privilege, false
    from wanted w
    where not exists (
        select from held h
        where h.grantee = w.role
          and h.object = w.object
          and h.privilege_type = w.privilege
          and h.attname is null
          and not h.is_grantable
    )
)
select
    case when d.role = 0 then 'public' else pg_catalog.pg_get_userbyid(d.role)::text end as role,
    d.is_foreign,
    d.privilege || coalesce(' (' || pg_catalog.quote_ident(d.attname) || ')', '') as privilege,
    case d.relkind
        when 'n' then 'schema pgevents'
        when 'S' then pg_catalog.format('sequence pgevents.%I', d.relname)
        when 'f' then pg_catalog.format('function pgevents.%I', d.relname)
        else pg_catalog.format('pgevents.%I', d.relname)
    end as object
from difference d
order by d.role, d.is_foreign desc, object, privilege
