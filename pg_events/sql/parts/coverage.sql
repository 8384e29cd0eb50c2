-- Every table that is, or could be, covered; one row for each of its triggers: wanted and installed. Four, and a fifth
-- where replicated changes are captured, or were.
-- $1 text[]: patterns of tables to include, empty for all. $2 text[]: patterns to exclude.
-- $3 oid[]: only these tables, null for all.
-- $4 jsonb: what is captured of a table where that is not everything: kind -> pattern of tables -> texts. The kinds are
-- only, drop, mask and hash (patterns of columns), when (conditions), and skip_unchanged, replicated and by_row (no
-- matter what).
-- A pattern is a glob (* and ?) on schema.table; without a dot, on the table's name in any schema.
with relation as (
    select
        c.oid,
        n.nspname,
        c.relname,
        c.relkind,
        c.relispartition,
        root_class.oid as root,
        root_namespace.nspname as root_schema,
        root_class.relname as root_name,
{is_plain}
        as is_plain
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_class root_class on root_class.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
    join pg_catalog.pg_namespace root_namespace on root_namespace.oid = root_class.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
      and c.relpersistence <> 't'
      and n.nspname <> 'pgevents'
      and n.nspname <> 'information_schema'
      and n.nspname not like 'pg\_%'
      and {is_asked}
),
{patterns},
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
                  and r.root_schema || '.' || r.root_name like p.pattern
            ) then 'belongs to an extension'
            -- Copies of tables, under names of their own: what is chosen for the table would not hold for them.
            when r.root_schema in ('repack', 'squeeze') and not exists (
                select from pattern p
                where p.kind = 'include'
                  and p.qualified
                  and r.root_schema || '.' || r.root_name like p.pattern
            ) then 'made by pg_repack or pg_squeeze'
            when exists (
                select from pattern p
                where p.kind = 'exclude'
                  and case when p.qualified then r.root_schema || '.' else '' end || r.root_name like p.pattern
            ) then 'excluded by the settings'
            when exists (select from pattern p where p.kind = 'include') and not exists (
                select from pattern p
                where p.kind = 'include'
                  and case when p.qualified then r.root_schema || '.' else '' end || r.root_name like p.pattern
            ) then 'not among the tables to include'
        end as not_wanted
    from relation r
),
{options},
-- Tables that are captured row by row, each with its whole partition tree, by triggers whose names sort first.
by_row as (
    select distinct on (root) root, reason
    from (
        -- Such a trigger can change the same row again, before a statement trigger of ours would see the first change:
        -- the log would hold the two in the wrong order.
        -- Triggers fire in the order of their names, byte by byte. A statement trigger that comes before ours is no harm row by
        -- row; what a row trigger that comes before ours changes is recorded before the row itself.
        select
            coalesce(pg_catalog.pg_partition_root(t.tgrelid), t.tgrelid) as root,
            case
                when t.tgname::text collate "C" >= '00_pgevents_' then 'a trigger of yours follows each row'
                when t.tgtype & 1 = 1 then pg_catalog.format(
                    'a trigger of yours follows each row, and %I fires before ours: what it changes is recorded first', t.tgname
                )
                else pg_catalog.format('%I fires before our statement triggers', t.tgname)
            end as reason
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc f on f.oid = t.tgfoid
        join pg_catalog.pg_namespace n on n.oid = f.pronamespace
        where not t.tgisinternal
          and n.nspname <> 'pgevents'
          -- For each row, also a deferred one, which SET CONSTRAINTS makes immediate; for each statement not TRUNCATE's.
          and (t.tgtype & 1 = 1 or t.tgname::text collate "C" < '00_pgevents_' and t.tgtype & (4 | 8 | 16) <> 0)
          and t.tgtype & (2 | 64) = 0 -- after
          and t.tgenabled <> 'D'
          and {is_trigger_near}
        union all
        -- A statement trigger of the parent's would see the rows of its children without the columns they add.
        select r.relid, 'it inherits, or is inherited from'
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class child on child.oid = i.inhrelid and not child.relispartition and child.relkind in ('r', 'f')
        cross join lateral (values (i.inhrelid), (i.inhparent)) r (relid)
        where {is_parent_near}
        union all
        -- One statement elsewhere (a customer's DELETE) can change a row here and then delete it: the statement trigger
        -- for the deletes can come before that for the updates.
        select coalesce(pg_catalog.pg_partition_root(f.conrelid), f.conrelid), 'a delete elsewhere can both change and delete its rows'
        from pg_catalog.pg_constraint f
        where f.contype = 'f'
          and {is_key_near}
        group by 1
        having bool_or(f.confdeltype = 'c')
           and bool_or(f.confdeltype in ('n', 'd'))
        union all
        -- PostgreSQL refuses writes that would collect a foreign table's rows for a statement trigger.
        select coalesce(pg_catalog.pg_partition_root(c.oid), c.oid), 'one of its partitions is a foreign table'
        from pg_catalog.pg_class c
        where c.relkind = 'f' and c.relispartition
          and {is_foreign_near}
        union all
        -- For instance because a MERGE moves rows between partitions. PostgreSQL 15 to 18 count such a row as deleted and
        -- inserted, show it to row triggers so, and to statement triggers only if the MERGE has an action of that kind;
        -- that of an UPDATE they count as updated and show to row triggers in the very same way. So a row trigger that is
        -- switched on by a BEFORE UPDATE trigger would see what is missing, and cost a bulk DELETE a fifth and the rest
        -- next to nothing. But it cannot tell a MERGE from an UPDATE, whose rows are there already, nor from what another
        -- trigger writes to the tree meanwhile: it would have to keep all of them until the statement ends and compare.
        -- Row by row a bulk INSERT takes eight times as long as by statement, an UPDATE five, a DELETE eleven; of one row
        -- none takes longer.
        select c.root, 'the settings ask for it'
        from options s
        join chosen c using (oid)
        where s.options ? 'by_row'
    ) r
    order by root, reason
),
-- Materialized: written out in each place where they are used, these take longer to prepare than to answer.
operation as materialized (
    select
        c.*,
        o.operation,
        o.referencing,
        b.reason as by_row,
        o.operation = 'replicated' or b.reason is not null and o.operation <> 'truncate' as is_row,
        s.options,
        -- What of the options bears on this operation.
        case
            when o.operation = 'truncate' and s.options ?| array['only', 'drop', 'mask', 'hash']
                then s.options - array['when', 'skip_unchanged', 'replicated', 'by_row']
            when o.operation in ('update', 'replicated')
                and s.options ?| array['only', 'drop', 'mask', 'hash', 'when', 'skip_unchanged']
                then s.options - array['replicated', 'by_row']
            when o.operation in ('insert', 'delete') and s.options ?| array['only', 'drop', 'mask', 'hash', 'when']
                then s.options - array['skip_unchanged', 'replicated', 'by_row']
        end as argument
    from chosen c
    left join by_row b on b.root = c.root
    left join options s on s.oid = c.oid
    cross join (
        values
            ('insert', 'REFERENCING NEW TABLE AS new_rows '),
            ('update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '),
            ('delete', 'REFERENCING OLD TABLE AS old_rows '),
            ('truncate', ''),
            ('replicated', '')
    ) o (operation, referencing)
),
wanted as materialized (
    select
        o.*,
        '00_pgevents_' || o.operation as trigger_name,
        case
            when o.not_wanted is not null then null
            when o.is_row and o.relkind = 'p' then null
            when o.operation = 'replicated' and o.options ? 'replicated' is not true then null
            else pg_catalog.format(
                'CREATE TRIGGER "00_pgevents_%s" AFTER %s ON %I.%I %sFOR EACH %s %sEXECUTE FUNCTION pgevents.%s(%s)',
                o.operation,
                case when o.operation = 'replicated' then 'INSERT OR DELETE OR UPDATE' else upper(o.operation collate "C") end,
                o.nspname,
                o.relname,
                case when not o.is_row then o.referencing end,
                case when o.is_row then 'ROW' else 'STATEMENT' end,
                -- A restore with --disable-triggers leaves the trigger enabled for everybody: nobody's write may be
                -- captured twice meanwhile.
                case when o.operation = 'replicated'
                    then 'WHEN ((current_setting(''session_replication_role''::text) = ''replica''::text)) ' end,
                case when o.operation = 'truncate' then 'capture_truncate'
                     when o.argument is not null then 'capture_chosen'
                     when o.is_row then 'capture_row'
                     when o.is_plain then 'capture_' || o.operation
                     else 'capture' end,
                -- As the database spells it: a backslash is a letter.
                '''' || replace(o.argument::text, '''', '''''') || ''''
            )
        end as definition,
        -- For whom it fires, when not for everybody but those who apply what was done elsewhere. A subscription's changes
        -- and its first copy fire triggers that follow rows, and of those that follow statements only TRUNCATE's. So what
        -- is replicated has a trigger of its own: everybody else's statements are captured as in other tables.
        case
            when o.operation = 'replicated' then 'REPLICA'
            when o.operation = 'truncate' and o.options ? 'replicated' then 'ALWAYS'
        end as fires,
        pg_catalog.format('; ALTER TABLE %I.%I ENABLE ', o.nspname, o.relname) as enable,
        pg_catalog.format(' TRIGGER "00_pgevents_%s"', o.operation) as which
    from operation o
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
    w.options::text as options,
    w.operation,
    w.trigger_name,
    w.definition || coalesce(w.enable || w.fires || w.which, '') as wanted,
    pg_catalog.pg_get_triggerdef(t.oid) || coalesce(
        w.enable || case t.tgenabled when 'A' then 'ALWAYS' when 'R' then 'REPLICA' when 'D' then w.fires end || w.which, ''
    ) as installed,
    t.tgenabled = 'D' as disabled
from wanted w
left join pg_catalog.pg_trigger t on t.tgrelid = w.oid and t.tgname = w.trigger_name and not t.tgisinternal
where w.operation <> 'replicated' or w.definition is not null or t.oid is not null
order by
    w.nspname, w.relname, w.oid,
    w.operation = 'replicated', w.operation = 'truncate', w.operation = 'delete', w.operation = 'update'
