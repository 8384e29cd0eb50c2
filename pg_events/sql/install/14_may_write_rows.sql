-- Can the rows that came with a new table (CREATE TABLE AS) be written to the log? Not those of a large one: it is read, and
-- written once more, inside the command. Nor any where the schema's name cannot be locked, see write_rows(): only a superuser
-- may.
create or replace function pgevents.may_write_rows(relation oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return pg_table_size(relation) <= 64 * 1024 * 1024
       and has_table_privilege(relation, 'select')
       and has_table_privilege('pg_namespace', 'update');
end
$function$;
revoke execute on function pgevents.may_write_rows(oid) from public;
