-- The schema came without its data, as from a dump that leaves the log out. What it must remember is made again.
set local standard_conforming_strings = on;
set local check_function_bodies = off;
set pgevents.building = on;
-- Quoted otherwise than what stands in it.
do $restore$
declare
    _found constant text[] := array(select d.part from ({describe}) d);
    _wanted text[];
    _functions text[];
    _part text;
begin
    {compare}
end
$restore$;
-- What a part of the log's data brought is another log's.
delete from pgevents.consumer;
delete from pgevents.failed;
{rename_origin}
insert into pgevents.migration (version, name) values {versions} on conflict do nothing;
insert into pgevents.secret (key)
select pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.gen_random_uuid()::text || pg_catalog.gen_random_uuid()::text, 'UTF8'))
where not exists (select from pgevents.secret);
insert into pgevents.setting (name, value) values {settings} on conflict do nothing;
reset pgevents.building;
