-- Whose code would run here with this session's rights: no row where there is no schema pgevents. Reads the catalog only,
-- and is asked before anything in the schema is read. See "Who is trusted" in docs/security.md.
-- One message, so one transaction: the settings hold for it alone. What it costs must not grow with the catalog: what is in
-- the schema is found by what depends on it, as neither pg_class nor pg_proc has an index by schema alone.
select
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    pg_catalog.set_config('enable_seqscan', 'off', true),
    pg_catalog.set_config('jit', 'off', true),
    -- The limit that a role is given for its queries must not keep a worker from starting.
    pg_catalog.set_config('statement_timeout', '0', true);
with schema as (
    select n.oid, n.nspowner, o.rolsuper
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_roles o on o.oid = n.nspowner
    where n.nspname = 'pgevents'
),
-- What a role can be that reaches beyond its own objects, and who is that: the role, and its members.
power as (
    select r.oid, a.name
    from pg_catalog.pg_roles r
    cross join lateral (
        values
            ('SUPERUSER', r.rolsuper),
            ('CREATEROLE', r.rolcreaterole),
            ('CREATEDB', r.rolcreatedb),
            ('REPLICATION', r.rolreplication),
            ('BYPASSRLS', r.rolbypassrls),
            (
                r.rolname::text,
                -- Predefined roles but for those that only watch, and those that managed services make.
                r.oid < 16384 and r.rolname like 'pg\_%' and r.rolname not in (
                    'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_checkpoint',
                    'pg_use_reserved_connections'
                )
                or r.rolname in ('rds_superuser', 'neon_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'supabase_admin')
            )
    ) a (name, has)
    where a.has
),
-- An owner's equal: a superuser, or a member of the owner, who can act as the owner anyway.
relation as (
    select
        c.oid,
        c.relname,
        c.relkind,
        c.relrowsecurity or c.relforcerowsecurity as has_row_security,
        pg_catalog.pg_has_role(c.relowner, s.nspowner, 'member') as is_owners,
        pg_catalog.pg_get_userbyid(c.relowner) as owner
    from schema s
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_namespace'::regclass and d.refobjid = s.oid and d.classid = 'pg_catalog.pg_class'::regclass
    join pg_catalog.pg_class c on c.oid = d.objid
    where c.relkind not in ('i', 'c', 't')
),
foreign_part as (
    select pg_catalog.format('%I is no table, or a view of another''s', r.relname) as what, true as is_fatal
    from relation r
    where r.relkind not in ('r', 'S', 'v')
       or r.relkind = 'v' and r.relname not in ('log', 'running_worker')
       or r.relkind <> 'v' and r.relname in ('log', 'running_worker')
    union all
    select pg_catalog.format('%I belongs to %I', r.relname, r.owner), true
    from relation r
    where not r.is_owners
    union all
    select pg_catalog.format('a trigger %I on %I', t.tgname, r.relname), false
    from relation r
    join pg_catalog.pg_trigger t on t.tgrelid = r.oid
    where not t.tgisinternal
    union all
    -- A key that refers to one of our tables: what is deleted or renamed there changes rows of another's table, whose
    -- triggers run in our session, deferred ones with our rights before PostgreSQL 18.
    select distinct pg_catalog.format('a foreign key between %s and %I', t.tgconstrrelid::regclass, r.relname), false
    from relation r
    join pg_catalog.pg_trigger t on t.tgrelid = r.oid
    where t.tgisinternal
      and t.tgconstrrelid not in (select o.oid from relation o)
      and t.tgconstrrelid <> 0
    union all
    select pg_catalog.format('a rule %I on %I', w.rulename, r.relname), false
    from relation r
    join pg_catalog.pg_rewrite w on w.ev_class = r.oid
    where w.rulename <> '_RETURN' or r.relkind <> 'v'
    union all
    select pg_catalog.format('row security on %I', r.relname), false
    from relation r
    where r.has_row_security
       or exists (select from pg_catalog.pg_policy p where p.polrelid = r.oid)
    union all
    select pg_catalog.format('a table %s that inherits from %I', i.inhrelid::regclass, r.relname), false
    from relation r
    join pg_catalog.pg_inherits i on i.inhparent = r.oid
    where r.relkind <> 'i'
),
foreign_function as (
    select pg_catalog.format('function %s belongs to %I', p.oid::regprocedure, pg_catalog.pg_get_userbyid(p.proowner)) as what
    from schema s
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_namespace'::regclass and d.refobjid = s.oid and d.classid = 'pg_catalog.pg_proc'::regclass
    join pg_catalog.pg_proc p on p.oid = d.objid
    where not pg_catalog.pg_has_role(p.proowner, s.nspowner, 'member')
)
select
    pg_catalog.pg_get_userbyid(s.nspowner)::text as owner,
    session_user::text as role,
    array(
        select p.name::text
        from power p
        where not s.rolsuper
          and (
              pg_catalog.pg_has_role(session_user, p.oid, 'member')
              or pg_catalog.pg_has_role(current_user, p.oid, 'member')
          )
        group by p.name
        having not bool_or(pg_catalog.pg_has_role(s.nspowner, p.oid, 'member'))
        order by p.name <> 'SUPERUSER', p.name <> all (array['CREATEROLE', 'CREATEDB', 'REPLICATION', 'BYPASSRLS']), p.name
    ) as more,
    pg_catalog.pg_has_role(s.nspowner, 'usage') as has_owners_rights,
    array(select f.what from foreign_part f where f.is_fatal order by f.what) as wrong,
    array(select f.what from foreign_part f where not f.is_fatal order by f.what) as attached,
    array(select f.what from foreign_function f order by f.what) as functions
from schema s;
