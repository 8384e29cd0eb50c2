-- The schema pgevents, an object or a part of one a line, in an order that no server changes.
with schema as (
    select 'pgevents'::regnamespace as oid
),
line (kind, name, place, text) as (
    select 1, c.relname::text, a.attnum::integer, format(
        '%s %s.%s %s%s%s',
        case c.relkind when 'v' then 'view' else 'table' end,
        c.relname,
        a.attname,
        format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' end,
        -- The label of events is another one in each log.
        ' default ' || regexp_replace(pg_get_expr(d.adbin, d.adrelid), '^''[0-9a-f]{8}''(::pgevents[.]origin)$', 'RANDOM\1')
    )
    from schema s
    join pg_class c on c.relnamespace = s.oid and c.relkind in ('r', 'v')
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    union all
    select 2, c.relname::text, 0, format('constraint %s %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
    from schema s
    join pg_class c on c.relnamespace = s.oid
    join pg_constraint k on k.conrelid = c.oid and k.contype <> 'n' -- rows of pg_constraint from PostgreSQL 18 on
    union all
    select 3, i.indexname::text, 0, i.indexdef
    from pg_indexes i
    where i.schemaname = 'pgevents'
    union all
    select 4, q.sequencename::text, 0, format('sequence %s %s %s to %s', q.sequencename, q.data_type, q.min_value, q.max_value)
    from pg_sequences q
    where q.schemaname = 'pgevents'
    union all
    select 5, p.proname::text, 0, format(
        'function %s(%s) returns %s%s %s [%s]',
        p.proname,
        pg_get_function_identity_arguments(p.oid),
        pg_get_function_result(p.oid),
        case when p.prosecdef then ' security definer' end,
        case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        array_to_string(p.proconfig, ', ')
    )
    from schema s
    join pg_proc p on p.pronamespace = s.oid
    union all
    select 6, e.evtname::text, 0, format('event trigger %s on %s calls %s', e.evtname, e.evtevent, e.evtfoid::regproc)
    from pg_event_trigger e
    join pg_proc p on p.oid = e.evtfoid
    join schema s on s.oid = p.pronamespace
)
select text
from line
order by kind, name collate "C", place, text collate "C"
