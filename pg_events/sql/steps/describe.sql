select pg_catalog.format(
    'column %I.%I: %s%s%s%s%s', c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then ' not null' end,
    -- The label of events is another one in each log, see 0009_restored.sql.
    ' default ' || pg_catalog.regexp_replace(
        pg_catalog.pg_get_expr(d.adbin, d.adrelid), '^''[0-9a-f]{8}''(::pgevents[.]origin)$', '''''\1'
    ),
    ' generated ' || nullif(a.attgenerated::text, ''),
    ' identity ' || nullif(a.attidentity::text, '')
) as part
from pg_catalog.pg_class c
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'pgevents'::regnamespace
  and c.relkind not in ('i', 'S')
union all
select pg_catalog.format('%s %I, kind %s, %s', case c.relkind when 'S' then 'sequence' else 'relation' end, c.relname, c.relkind, c.relpersistence)
from pg_catalog.pg_class c
where c.relnamespace = 'pgevents'::regnamespace
  and c.relkind <> 'i'
union all
select pg_catalog.format('view %I: %s', c.relname, pg_catalog.pg_get_viewdef(c.oid))
from pg_catalog.pg_class c
where c.relnamespace = 'pgevents'::regnamespace
  and c.relkind in ('v', 'm')
union all
select pg_catalog.format('constraint %I on %s: %s', k.conname, coalesce(k.conrelid, k.contypid), pg_catalog.pg_get_constraintdef(k.oid))
from (
    select o.oid, o.conname, nullif(o.conrelid, 0)::regclass::text as conrelid, nullif(o.contypid, 0)::regtype::text as contypid
    from pg_catalog.pg_constraint o
    where o.connamespace = 'pgevents'::regnamespace
       or o.conrelid in (select c.oid from pg_catalog.pg_class c where c.relnamespace = 'pgevents'::regnamespace)
) k
union all
select pg_catalog.format('index: %s', pg_catalog.pg_get_indexdef(i.indexrelid))
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indrelid
where c.relnamespace = 'pgevents'::regnamespace
union all
select pg_catalog.format('statistics: %s', pg_catalog.pg_get_statisticsobjdef(s.oid))
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_class c on c.oid = s.stxrelid
where c.relnamespace = 'pgevents'::regnamespace
