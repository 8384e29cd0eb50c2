-- A glob as a pattern of LIKE: the wildcards of LIKE are letters in a glob; those of the glob become LIKE's.
create or replace function pgevents.glob_pattern(glob text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
    select replace(replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_')
$function$;
