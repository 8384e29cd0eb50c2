-- The table an object is, or is a part of; null for anything else. A snapshot from before can see two rows of an object.
create or replace function pgevents.table_of(classid oid, objid oid)
returns oid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    if classid = 'pg_class'::regclass then
        return coalesce((select i.indrelid from pg_index i where i.indexrelid = objid limit 1), objid);
    elsif classid = 'pg_trigger'::regclass then
        return (select t.tgrelid from pg_trigger t where t.oid = objid limit 1);
    elsif classid = 'pg_constraint'::regclass then
        return (select nullif(c.conrelid, 0) from pg_constraint c where c.oid = objid limit 1);
    elsif classid = 'pg_policy'::regclass then
        return (select p.polrelid from pg_policy p where p.oid = objid limit 1);
    elsif classid = 'pg_rewrite'::regclass then
        return (select r.ev_class from pg_rewrite r where r.oid = objid limit 1);
    elsif classid = 'pg_attrdef'::regclass then
        return (select d.adrelid from pg_attrdef d where d.oid = objid limit 1);
    elsif classid = 'pg_statistic_ext'::regclass then
        return (select s.stxrelid from pg_statistic_ext s where s.oid = objid limit 1);
    end if;
    return null;
end
$function$;
