-- Who owned the schema so far goes on to read and to deliver.
insert into pgevents.setting as s (name, value)
values ('grants', pg_catalog.jsonb_build_object({former}::text, 'worker')::text)
on conflict (name) do update
set value = (s.value::jsonb || pg_catalog.jsonb_build_object({former}::text, 'worker'))::text;
