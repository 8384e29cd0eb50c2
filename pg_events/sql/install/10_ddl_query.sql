-- What the client sent, for a schema event: cut, and without the passwords in it. Masked are a literal behind the word
-- PASSWORD, the same without quotes behind PASSWORD= (a connection string), and that of a URL. Too much is masked
-- rather than too little.
create or replace function pgevents.ddl_query()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select nullif(left(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    current_query(),
                    $re$(\mpassword\M['"]?\s*(?:=>?|,|\s)\s*)(''[^']+''|e'(?:[^'\\]|\\.|'')*'|(?:u&)?'(?:[^']|'')*'|\$(\w*)\$.*?\$\3\$)$re$,
                    '\1''***''', 'gi'
                ),
                $re$(\mpassword\s*=\s*)[^\s'"]+$re$, '\1***', 'gi'
            ),
            $re$(\m\w+://[^\s:/@']*:)[^\s@']+@$re$, '\1***@', 'g'
        ),
        {query_characters}
    ), '')
$function$;
