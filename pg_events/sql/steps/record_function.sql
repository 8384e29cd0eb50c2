-- A function is for its owner: default privileges may have given it to others, and CREATE OR REPLACE leaves what was given.
set pgevents.building = on;
do $do$
declare
    _granted record;
begin
    for _granted in
        select distinct p.oid::regprocedure as name, a.grantee
        from pg_catalog.pg_proc p
        cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
        where p.pronamespace = 'pgevents'::regnamespace
          and p.proname = '{name}'
          and a.grantee <> p.proowner
          -- Who may emit is not the function's to say, see rights.sql.
          and not (
              p.proname = 'emit'
              and exists (
                  select
                  from pgevents.setting s
                  cross join lateral pg_catalog.jsonb_each_text(s.value::jsonb) g
                  where s.name = 'grants'
                    and g.key = pg_catalog.pg_get_userbyid(a.grantee)
                    and g.value ~ 'worker|emitter'
              )
          )
    loop
        execute pg_catalog.format(
            'revoke all on function %s from %s cascade', _granted.name,
            case when _granted.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(_granted.grantee)) end
        );
    end loop;
    -- What readers' questions and the view for people call is for all who may use the schema; and so is what gives an id, which a
    -- capture function of an earlier release calls that is running as another role during an upgrade.
    if '{name}' in ('described', 'column_difference', 'new_id') then
        execute (
            select pg_catalog.format('grant execute on function %s to public', p.oid::regprocedure)
            from pg_catalog.pg_proc p
            where p.pronamespace = 'pgevents'::regnamespace and p.proname = '{name}'
        );
    end if;
end
$do$;
reset pgevents.building;
-- The digest of what the database made of a function: its definition, and who may call it besides its owner.
insert into pgevents.installed (name, source, definition)
select '{name}', '{source}', md5(pg_catalog.pg_get_functiondef(p.oid) || coalesce((
    select string_agg(a.grantee::text, ' ' order by a.grantee)
    from pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    where a.grantee <> p.proowner
      and p.proname <> 'emit'
), ''))
from pg_catalog.pg_proc p
where p.pronamespace = 'pgevents'::regnamespace and p.proname = '{name}'
on conflict (name) do update set source = excluded.source, definition = excluded.definition;
