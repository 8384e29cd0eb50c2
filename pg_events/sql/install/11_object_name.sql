-- The bare name of an object, where it has one.
create or replace function pgevents.object_name(classid oid, objid oid, objsubid integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select coalesce(
        case when classid = 'pg_class'::regclass and objsubid > 0 then (
            select a.attname::text from pg_attribute a where a.attrelid = objid and a.attnum = objsubid
        ) end,
        (pg_identify_object_as_address(classid, objid, objsubid)).object_names[
            array_upper((pg_identify_object_as_address(classid, objid, objsubid)).object_names, 1)
        ]
    )
    where classid is not null and objid is not null
$function$;
