-- Writes an event of the application to the log, in the transaction that calls it. Returns its id. Events with the same name and
-- key are delivered in their order; without a key, all events of the name.
create or replace function pgevents.emit(name text, payload json default null, key text default null)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_variable
declare
    _id bigint;
    _first_lock bigint;
begin
    if name is null or name = '' or length(name) > 200 then
        raise invalid_parameter_value using message =
            'the name of an event has 1 to 200 characters, for example ''order.paid''';
    end if;
    if length(key) > 1000 then
        raise invalid_parameter_value using message = 'the key of an event has up to 1,000 characters';
    end if;
    {capture_lock_first}
    insert into pgevents.event as e (kind, table_name, query, new_data, ddl)
    values (
        'E', name,
        case when octet_length(current_query()) <= least(1000, {query_characters}) then current_query() end,
        payload,
        ('{"key": ' || to_json(key) || '}')::json
    )
    returning e.id into _id;
    {capture_wake}
    return _id;
end
$function$;
revoke execute on function pgevents.emit(text, json, text) from public;
