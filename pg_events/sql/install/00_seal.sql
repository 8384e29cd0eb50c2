-- The seal of what a trigger of ours leaves in a setting for the next one. Everybody can change a setting; nobody else can
-- seal it. Null when the key was lost: then nothing that is left there is believed.
create or replace function pgevents.seal(content text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    select pgevents.key_seal(s.key, content) from pgevents.secret s
$function$;
revoke execute on function pgevents.seal(text) from public;
