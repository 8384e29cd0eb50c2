-- Notes a table's columns as they are now and tells what became of them since they were noted last.
create or replace function pgevents.note_shape(noted_relation oid)
returns json
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    _before json;
    _after json := coalesce(pgevents.current_columns(noted_relation), '[]');
begin
    select s.columns into _before from pgevents.shape s where s.relation = noted_relation;
    insert into pgevents.shape as s (relation, table_schema, table_name, columns)
    select c.oid, n.nspname, c.relname, _after
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = noted_relation
    on conflict (relation) do update
    set table_schema = excluded.table_schema, table_name = excluded.table_name, columns = excluded.columns
    where (s.table_schema, s.table_name, s.columns::text)
        is distinct from (excluded.table_schema, excluded.table_name, excluded.columns::text);
    return pgevents.column_difference(_before, _after);
end
$function$;
revoke execute on function pgevents.note_shape(oid) from public;
