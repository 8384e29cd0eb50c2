-- What a schema event says, with what became of a table's columns. Events from before the columns were noted apart have
-- it already.
create or replace function pgevents.described(event_id bigint, ddl json)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select coalesce(
        (
            select (rtrim(ddl::text, '} ') || ',"columns":' || d.difference || '}')::json
            from pgevents.shape s
            cross join lateral pgevents.column_difference(
                (
                    select b.columns
                    from pgevents.shape b
                    where b.relation = s.relation
                      and b.id < s.id
                    order by b.id desc
                    limit 1
                ),
                s.columns
            ) d (difference)
            where s.relation = (ddl ->> 'objid')::oid
              and s.id = event_id
              and ddl ->> 'classid' = '1259'
              and d.difference is not null
            limit 1
        ),
        ddl
    )
$function$;
