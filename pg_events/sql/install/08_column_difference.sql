-- What became of a table's columns between two of their descriptions; null when nothing did. A column is known by its
-- number, so a renamed one is changed, not removed and added.
create or replace function pgevents.column_difference(before json, after json)
returns json
language sql
immutable
set search_path = pg_catalog, pg_temp
as $function$
    with pair as (
        select
            coalesce((n.value ->> 'number')::integer, (o.value ->> 'number')::integer) as number,
            o.value as old,
            n.value as new
        from json_array_elements(coalesce(before, '[]')) o
        full join json_array_elements(coalesce(after, '[]')) n on n.value ->> 'number' = o.value ->> 'number'
    ),
    part as (
        select
            json_agg(json_build_object('name', new ->> 'name', 'type', new ->> 'type') order by number)
                filter (where old is null) as added,
            json_agg(json_build_object('name', old ->> 'name', 'type', old ->> 'type') order by number)
                filter (where new is null) as removed,
            json_agg(
                json_strip_nulls(json_build_object(
                    'name', new ->> 'name',
                    'type', new ->> 'type',
                    'not_null', new -> 'not_null',
                    'old_name', case when old ->> 'name' <> new ->> 'name' then old ->> 'name' end,
                    'old_type', case when old ->> 'type' <> new ->> 'type' then old ->> 'type' end,
                    'old_not_null', case when old ->> 'not_null' <> new ->> 'not_null' then old -> 'not_null' end
                )) order by number
            ) filter (where old is not null and new is not null and old::text <> new::text) as changed
        from pair
    )
    select json_build_object(
        'added', coalesce(added, '[]'), 'removed', coalesce(removed, '[]'), 'changed', coalesce(changed, '[]')
    )
    from part
    where added is not null or removed is not null or changed is not null
$function$;
