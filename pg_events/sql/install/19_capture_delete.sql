-- Writes the rows of one DELETE to the log; as capture_insert.sql.
create or replace function pgevents.capture_delete()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when {query_characters} > 0 then current_query() end;
begin
    if ({query_characters} = 0 or octet_length(_text) <= least(300, {query_characters}))
        and pg_partition_root(tg_relid) is null
        and pg_sequence_last_value('pgevents.sleeper'::regclass) = 0
    then
        insert into pgevents.event (kind, table_schema, table_name, query, old_data)
        select 'D', tg_table_schema, tg_table_name, _text, row_to_json(o.*)
        from old_rows o;
        return null;
    end if;

    {capture_carefully}
    return null;
end
$function$;
revoke execute on function pgevents.capture_delete() from public;
