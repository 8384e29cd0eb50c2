-- Everything in the schema belongs to the schema's owner. An earlier build gave the capture functions to a role of the
-- whole cluster, pgevents_capture: other databases' owners could be members of it, and an owner may alter a function.
set pgevents.building = on;
do $do$
declare
    _owner constant regrole := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'pgevents');
    _function regprocedure;
begin
    for _function in
        select p.oid
        from pg_catalog.pg_proc p
        where p.pronamespace = 'pgevents'::regnamespace
          and p.proowner = (select r.oid from pg_catalog.pg_roles r where r.rolname = 'pgevents_capture')
    loop
        begin
            execute format('alter function %s owner to %s', _function, _owner);
        exception when insufficient_privilege then
            raise insufficient_privilege using message =
                'functions of pgevents belong to the role pgevents_capture of an earlier build, and ' || current_user
                || ' is no member of it; remedy: run pg_events build once as a superuser';
        end;
    end loop;
    -- The role keeps its rights for now: a function that runs at this moment runs as the role, and must not fail its write.
    -- A later build revokes them, see rights.sql.
end
$do$;
reset pgevents.building;

-- The roles that may read, or deliver, are those that a build was told: `grants` among the settings. Until now they were
-- known by what they had.
insert into pgevents.setting (name, value)
select 'grants', coalesce(jsonb_object_agg(r.rolname, 'reader'), '{}')::text
from pg_catalog.pg_roles r
join pg_catalog.pg_class c on c.oid = 'pgevents.event'::regclass
where exists (
        select from pg_catalog.aclexplode(c.relacl) a
        where a.grantee = r.oid and a.grantee <> c.relowner and a.privilege_type = 'SELECT'
    )
  and not exists (
        select from pg_catalog.aclexplode(c.relacl) a
        where a.grantee = r.oid and a.privilege_type <> 'SELECT'
    )
on conflict (name) do nothing;
