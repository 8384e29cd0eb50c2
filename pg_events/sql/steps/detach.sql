-- Takes away what runs when our tables are read or written, and no build made: triggers, foreign keys of other tables, rules,
-- policies, inheriting tables.
do $do$
declare
    _command text;
begin
    for _command in
        with relation as (
            select c.oid, c.relkind, c.relrowsecurity or c.relforcerowsecurity as has_row_security
            from pg_catalog.pg_class c
            where c.relnamespace = 'pgevents'::regnamespace
              and c.relkind in ('r', 'v')
        )
        select pg_catalog.format('drop trigger %I on %s', t.tgname, r.oid::regclass)
        from relation r
        join pg_catalog.pg_trigger t on t.tgrelid = r.oid
        where not t.tgisinternal
        union all
        select distinct pg_catalog.format('alter table %s drop constraint %I', k.conrelid::regclass, k.conname)
        from relation r
        join pg_catalog.pg_trigger t on t.tgrelid = r.oid
        join pg_catalog.pg_constraint k on k.oid = t.tgconstraint
        where t.tgisinternal
          and k.contype = 'f'
          and not (k.conrelid in (select o.oid from relation o) and k.confrelid in (select o.oid from relation o))
        union all
        select pg_catalog.format('drop rule %I on %s', w.rulename, r.oid::regclass)
        from relation r
        join pg_catalog.pg_rewrite w on w.ev_class = r.oid
        where w.rulename <> '_RETURN'
        union all
        select pg_catalog.format('drop policy %I on %s', p.polname, r.oid::regclass)
        from relation r
        join pg_catalog.pg_policy p on p.polrelid = r.oid
        union all
        select pg_catalog.format('alter table %s disable row level security, no force row level security', r.oid::regclass)
        from relation r
        where r.has_row_security
        union all
        select pg_catalog.format('alter table %s no inherit %s', i.inhrelid::regclass, r.oid::regclass)
        from relation r
        join pg_catalog.pg_inherits i on i.inhparent = r.oid
    loop
        execute _command;
    end loop;
end
$do$;
