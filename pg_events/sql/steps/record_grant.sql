-- {capability}: `reader`, `emitter`, `worker`, or null for nothing any more. A worker has all of it, and stays a worker.
insert into pgevents.setting as s (name, value)
values ('grants', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object({role}::text, {capability}::text))::text)
on conflict (name) do update
set value = pg_catalog.jsonb_strip_nulls(
    s.value::jsonb || pg_catalog.jsonb_build_object(
        {role}::text,
        case
            when {capability}::text is null or {capability}::text = 'worker' then {capability}::text
            when coalesce(s.value::jsonb ->> {role}::text, {capability}::text) in ('worker', {capability}::text)
                then coalesce(s.value::jsonb ->> {role}::text, {capability}::text)
            else 'reader emitter'
        end
    )
)::text;
