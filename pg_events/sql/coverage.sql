-- Every table that is, or could be, covered; one row for each of its four triggers: wanted and installed.
-- $1 text[]: patterns of tables to include, empty for all. $2 text[]: patterns to exclude.
-- $3 oid[]: only these tables, null for all.
-- A pattern is a glob (* and ?) on schema.table; without a dot, on the table's name in any schema.
with relation as (
    select
        c.oid,
        n.nspname,
        c.relname,
        c.relkind,
        c.relispartition,
        coalesce(pg_catalog.pg_partition_root(c.oid), c.oid) as root,
        -- No setting of the writer's changes how its values are spelt, and none of them has to be computed.
        not exists (
            select from pg_catalog.pg_attribute a
            join pg_catalog.pg_type t on t.oid = a.atttypid
            join pg_catalog.pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
            where a.attrelid = c.oid
              and a.attnum > 0
              and not a.attisdropped
              and (
                  a.attgenerated = 'v'
                  or e.typtype <> 'e' and (e.typnamespace <> 'pg_catalog'::regnamespace or e.typname <> all ('{
                      bool,int2,int4,int8,numeric,char,name,text,varchar,bpchar,uuid,json,jsonb,
                      date,time,timestamp,timestamptz,inet,cidr,macaddr,macaddr8,bit,varbit
                  }'::text[]))
              )
        ) as is_plain
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
      and c.relpersistence <> 't'
      and n.nspname <> 'pgevents'
      and n.nspname <> 'information_schema'
      and n.nspname not like 'pg\_%'
      and ($3::oid[] is null or c.oid = any ($3::oid[]))
),
pattern as (
    select
        kind,
        position('.' in glob) > 0 as qualified,
        -- LIKE's own wildcards are letters in a glob; the glob's become LIKE's.
        replace(replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_') as pattern
    from (
        select 'include' as kind, unnest($1::text[]) as glob
        union all
        select 'exclude', unnest($2::text[])
    ) p
),
chosen as (
    select
        r.*,
        case
            when r.relkind = 'v' then 'a view: capture the tables below it'
            when r.relkind = 'm' then 'a materialized view: PostgreSQL has no triggers on it'
            when r.relkind = 'f' then 'a foreign table: its changes happen elsewhere'
            when exists (
                select from pg_catalog.pg_depend d
                where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = r.root and d.deptype = 'e'
            ) and not exists (
                select from pattern p
                where p.kind = 'include'
                  and p.qualified
                  and root_namespace.nspname || '.' || root_class.relname like p.pattern
            ) then 'belongs to an extension'
            when exists (
                select from pattern p
                where p.kind = 'exclude'
                  and case when p.qualified then root_namespace.nspname || '.' else '' end || root_class.relname like p.pattern
            ) then 'excluded by the settings'
            when exists (select from pattern p where p.kind = 'include') and not exists (
                select from pattern p
                where p.kind = 'include'
                  and case when p.qualified then root_namespace.nspname || '.' else '' end || root_class.relname like p.pattern
            ) then 'not among the tables to include'
        end as not_wanted
    from relation r
    join pg_catalog.pg_class root_class on root_class.oid = r.root
    join pg_catalog.pg_namespace root_namespace on root_namespace.oid = root_class.relnamespace
),
-- Tables that are captured row by row, each with its whole partition tree, by triggers whose names sort first.
by_row as (
    select distinct on (root) root, reason
    from (
        -- Such a trigger can change the same row again, before a statement trigger of ours would see the first change:
        -- the log would hold the two in the wrong order.
        select coalesce(pg_catalog.pg_partition_root(t.tgrelid), t.tgrelid) as root, 'a trigger of yours follows each row' as reason
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc f on f.oid = t.tgfoid
        join pg_catalog.pg_namespace n on n.oid = f.pronamespace
        where not t.tgisinternal
          and n.nspname <> 'pgevents'
          and t.tgtype & 1 = 1        -- for each row
          and t.tgtype & (2 | 64) = 0 -- after
          and t.tgenabled <> 'D'
          and not t.tginitdeferred    -- a deferred one runs when ours are done
        union all
        -- A statement trigger of the parent's would see the rows of its children without the columns they add.
        select r.relid, 'it inherits, or is inherited from'
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class child on child.oid = i.inhrelid and not child.relispartition and child.relkind in ('r', 'f')
        cross join lateral (values (i.inhrelid), (i.inhparent)) r (relid)
        union all
        -- PostgreSQL refuses writes that would collect a foreign table's rows for a statement trigger.
        select coalesce(pg_catalog.pg_partition_root(c.oid), c.oid), 'one of its partitions is a foreign table'
        from pg_catalog.pg_class c
        where c.relkind = 'f' and c.relispartition
    ) r
    order by root, reason
),
wanted as (
    select
        c.*,
        o.operation,
        '00_pgevents_' || o.operation as trigger_name,
        case
            when c.not_wanted is not null then null
            when o.operation <> 'truncate' and b.root is not null and c.relkind = 'p' then null
            else pg_catalog.format(
                'CREATE TRIGGER "00_pgevents_%s" AFTER %s ON %I.%I %sFOR EACH %s EXECUTE FUNCTION pgevents.%s(%s)',
                o.operation,
                upper(o.operation),
                c.nspname,
                c.relname,
                case when b.root is null then o.referencing else '' end,
                case when b.root is null or o.operation = 'truncate' then 'STATEMENT' else 'ROW' end,
                case when o.operation = 'truncate' then 'capture_truncate'
                     when b.root is not null then 'capture_row'
                     when c.is_plain then 'capture_' || o.operation
                     else 'capture' end,
                case when o.operation <> 'truncate' and exists (
                    select from pg_catalog.pg_attribute a
                    where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped
                ) then quote_literal('computed') else '' end
            )
        end as wanted,
        b.reason as by_row
    from chosen c
    left join by_row b on b.root = c.root
    cross join (
        values
            (1, 'insert', 'REFERENCING NEW TABLE AS new_rows '),
            (2, 'update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '),
            (3, 'delete', 'REFERENCING OLD TABLE AS old_rows '),
            (4, 'truncate', '')
    ) o (number, operation, referencing)
)
select
    w.oid,
    w.nspname::text as table_schema,
    w.relname::text as table_name,
    case
        when w.relkind = 'r' and w.relispartition then 'partition'
        when w.relkind = 'r' then 'table'
        when w.relkind = 'p' then 'partitioned table'
        when w.relkind = 'v' then 'view'
        when w.relkind = 'm' then 'materialized view'
        else 'foreign table'
    end as relation_kind,
    w.root,
    w.by_row,
    w.not_wanted,
    w.operation,
    w.trigger_name,
    w.wanted,
    pg_catalog.pg_get_triggerdef(t.oid) as installed,
    t.tgenabled in ('D', 'R') as disabled
from wanted w
left join pg_catalog.pg_trigger t on t.tgrelid = w.oid and t.tgname = w.trigger_name and not t.tgisinternal
order by w.nspname, w.relname, w.oid, w.operation = 'truncate', w.operation = 'delete', w.operation = 'update'
