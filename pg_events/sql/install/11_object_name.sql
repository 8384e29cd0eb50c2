-- The bare name of an object, where it has one.
create or replace function pgevents.object_name(classid oid, objid oid, objsubid integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select case
        when classid = 'pg_class'::regclass and objsubid > 0 then (
            select a.attname::text from pg_attribute a where a.attrelid = objid and a.attnum = objsubid
        )
        when classid = 'pg_type'::regclass then (select t.typname::text from pg_type t where t.oid = objid)
        else (
            select names[array_upper(names, 1)]
            from (select (pg_identify_object_as_address(classid, objid, objsubid)).object_names as names) address
        )
    end
    where classid is not null and objid is not null
$function$;
