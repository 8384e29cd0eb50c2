-- For whom event triggers are switched off here (a setting of PostgreSQL 17 and newer): their DDL is not recorded.
select 'everybody (the server''s configuration)' as who
where pg_catalog.current_setting('event_triggers', true) = 'off'
  and not exists (
      select from pg_catalog.pg_settings s where s.name = 'event_triggers' and s.source in ('database', 'user', 'database user')
  )
union all
select case
    when r.rolname is null and s.setdatabase = 0 then 'every role'
    when r.rolname is null then 'this database'
    else 'role ' || r.rolname
end
from pg_catalog.pg_db_role_setting s
left join pg_catalog.pg_roles r on r.oid = s.setrole
where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
  and exists (select from unnest(s.setconfig) c where c ~* '^event_triggers=(off|of|false|f|no|n|0)$')
