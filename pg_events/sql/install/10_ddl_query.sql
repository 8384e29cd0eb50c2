-- What the client sent, for a schema event: cut, and with what follows the word PASSWORD masked.
create or replace function pgevents.ddl_query()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select nullif(left(
        regexp_replace(
            current_query(),
            $re$(\mpassword\M['"]?\s*(?:=|,|\s)\s*)(e?'(?:[^']|'')*'|\$(\w*)\$.*?\$\3\$)$re$, '\1''***''', 'gi'
        ),
        {query_characters}
    ), '')
$function$;
