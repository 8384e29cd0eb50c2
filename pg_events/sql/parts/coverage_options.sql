-- In coverage.sql: what is chosen of the tables in `chosen`, out of the choices $4.
choice as (
    select k.key as kind, g.qualified, g.pattern, x.value as text
    from jsonb_each($4::jsonb) k
    cross join lateral jsonb_each(k.value) t
    join glob g on g.glob = t.key
    cross join lateral jsonb_array_elements_text(t.value) x
),
-- What the triggers that are there were told. A table or a column that was renamed since is known by its earlier name
-- too: it must not leak because the settings do not know the new one yet.
told as materialized (
    select
        t.tgrelid as relation,
        convert_from(rtrim(t.tgargs, decode('00', 'hex')), getdatabaseencoding()::name)::jsonb as options
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = t.tgfoid
    join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    where exists (select from choice)
      and n.nspname = 'pgevents'
      and f.proname in ('capture_chosen', 'capture_truncate')
      and t.tgnargs = 1
      and {is_trigger_near}
),
-- What a table inherits from, at all levels: its rows are rows of those, too.
ancestor as (
    with recursive above (oid, ancestor) as (
        select c.oid, i.inhparent
        from chosen c
        join pg_catalog.pg_inherits i on i.inhrelid = c.oid
        where not c.relispartition
          and exists (select from choice)
        union
        select a.oid, i.inhparent
        from above a
        join pg_catalog.pg_inherits i on i.inhrelid = a.ancestor
    )
    select a.oid, a.ancestor, n.nspname::text as schema, k.relname::text as name
    from above a
    join pg_catalog.pg_class k on k.oid = a.ancestor
    join pg_catalog.pg_namespace n on n.oid = k.relnamespace
),
-- `is_own`: the name is, or was, that of the table itself. Of what is chosen for an ancestor holds what keeps values out.
table_name as (
    select c.oid, c.root_schema::text as schema, c.root_name::text as name, true as is_now, true as is_own
    from chosen c
    where c.not_wanted is null
      and exists (select from choice)
    union
    select c.oid, a.schema, a.name, true, false
    from chosen c
    join ancestor a using (oid)
    where c.not_wanted is null
    union
    select
        c.oid, n.value ->> 0, n.value ->> 1, false,
        not exists (
            select from ancestor a
            where a.oid = c.oid and (a.ancestor = d.relation or a.schema = n.value ->> 0 and a.name = n.value ->> 1)
        )
    from chosen c
    join told d
        on d.relation in (c.oid, c.root)
        or exists (select from ancestor a where a.oid = c.oid and a.ancestor = d.relation)
    cross join lateral jsonb_array_elements(d.options -> 'tables') n
    where c.not_wanted is null
),
-- What is chosen for a table, with the names that say so: its name now, or else earlier ones.
applies as (
    select
        n.oid,
        c.kind,
        c.text,
        coalesce(
            jsonb_agg(distinct jsonb_build_array(n.schema, n.name)) filter (where n.is_now),
            jsonb_agg(distinct jsonb_build_array(n.schema, n.name))
        ) as tables
    from table_name n
    join choice c
        on case when c.qualified then n.schema || '.' else '' end || n.name like c.pattern
        and (n.is_own or c.kind in ('only', 'drop', 'mask', 'hash', 'when'))
    group by n.oid, c.kind, c.text
),
column_name as (
    select a.attrelid, a.attnum, a.attname, a.attname::text as name, true as is_now
    from pg_catalog.pg_attribute a
    where a.attrelid in (select p.oid from applies p where p.kind in ('only', 'drop', 'mask', 'hash'))
      and a.attnum > 0
      and not a.attisdropped
    union
    -- What a table's triggers were told of a column holds for the column of that name in its partitions and heirs.
    select a.attrelid, a.attnum, a.attname, n.value, false
    from relation r
    join told d
        on d.relation in (r.oid, r.root)
        or exists (select from ancestor a where a.oid = r.oid and a.ancestor = d.relation)
    join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_attribute t on t.attrelid = d.relation and t.attname = a.attname
    cross join lateral jsonb_each(d.options) k
    cross join lateral jsonb_array_elements_text(
        case when k.key in ('only', 'drop', 'mask', 'hash') then k.value -> t.attnum::text end
    ) n
),
-- Columns that are treated, each with its name now, and earlier ones if only they say so.
treated as (
    select
        n.attrelid,
        n.attnum,
        p.kind,
        jsonb_build_array(n.attname)
            || case when bool_or(n.is_now) then '[]' else jsonb_agg(distinct to_jsonb(n.name)) end as names
    from column_name n
    join applies p on p.oid = n.attrelid and p.kind in ('only', 'drop', 'mask', 'hash')
    join glob g on g.glob = p.text
    where n.name like g.pattern
    group by n.attrelid, n.attnum, n.attname, p.kind
),
strictest as (
    select distinct on (attrelid, attnum, kind = 'only') attrelid, attnum, kind, names
    from (
        select attrelid, attnum, kind, names, 1 as origin from treated
        union all
        -- What is computed from a column tells of it.
        select a.attrelid, a.attnum, t.kind, jsonb_build_array(a.attname), 2
        from treated t
        join pg_catalog.pg_depend d
            on d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = t.attrelid
            and d.refobjsubid = t.attnum
            and d.classid = 'pg_catalog.pg_attrdef'::regclass
        join pg_catalog.pg_attrdef e on e.oid = d.objid
        join pg_catalog.pg_attribute a on a.attrelid = e.adrelid and a.attnum = e.adnum and a.attgenerated <> ''
        where t.kind <> 'only'
    ) t
    order by attrelid, attnum, kind = 'only', kind = 'hash', kind = 'mask', origin
),
treatment as (
    select attrelid, kind, jsonb_object_agg(attnum, names) as columns from strictest group by attrelid, kind
),
-- What holds for a table. The triggers are told all of it but the last two, which say what triggers there are.
options as (
    select
        p.oid,
        jsonb_strip_nulls(jsonb_build_object(
            'tables', (
                select jsonb_agg(distinct n.value)
                from applies a
                cross join lateral jsonb_array_elements(a.tables) n
                where a.oid = p.oid
            ),
            'only', coalesce(
                (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'only'),
                case when bool_or(p.kind = 'only') then '{}'::jsonb end
            ),
            'drop', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'drop'),
            'mask', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'mask'),
            'hash', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'hash'),
            'when', jsonb_agg(distinct to_jsonb(p.text)) filter (where p.kind = 'when'),
            'skip_unchanged', case when bool_or(p.kind = 'skip_unchanged') then true end,
            'replicated', case when bool_or(p.kind = 'replicated') then true end,
            'by_row', case when bool_or(p.kind = 'by_row') then true end
        )) as options
    from applies p
    group by p.oid
)
