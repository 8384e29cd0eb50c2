-- The bare name of an object, where it has one. A snapshot from before can see two rows of an object: the newest is the one
-- that was not replaced.
create or replace function pgevents.object_name(classid oid, objid oid, objsubid integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    _names text[];
begin
    if classid is null or objid is null then
        return null;
    elsif classid = 'pg_class'::regclass and objsubid > 0 then
        return (
            select a.attname::text from pg_attribute a where a.attrelid = objid and a.attnum = objsubid
            order by a.xmax <> '0'::xid limit 1
        );
    elsif classid = 'pg_class'::regclass then
        return (
            select c.relname::text from pg_class c where c.oid = objid
            order by c.xmax <> '0'::xid limit 1
        );
    elsif classid = 'pg_type'::regclass then
        return (
            select t.typname::text from pg_type t where t.oid = objid
            order by t.xmax <> '0'::xid limit 1
        );
    end if;
    _names := (pg_identify_object_as_address(classid, objid, objsubid)).object_names;
    return _names[array_upper(_names, 1)];
end
$function$;
