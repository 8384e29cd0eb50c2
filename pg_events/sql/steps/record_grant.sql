-- {capability}: `reader`, `worker`, or null for nothing any more. A worker reads, too, and stays a worker.
insert into pgevents.setting as s (name, value)
values ('grants', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object({role}::text, {capability}::text))::text)
on conflict (name) do update
set value = pg_catalog.jsonb_strip_nulls(
    s.value::jsonb || pg_catalog.jsonb_build_object(
        {role}::text,
        case
            when {capability}::text = 'reader' then coalesce(s.value::jsonb ->> {role}::text, 'reader')
            else {capability}::text
        end
    )
)::text;
