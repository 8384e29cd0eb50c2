-- The question of coverage.sql, for use inside the database: when a table is made, its triggers are made with it.
create or replace function pgevents.coverage(include text[], exclude text[], relations oid[], choices jsonb)
returns table (
    oid oid,
    table_schema text,
    table_name text,
    relation_kind text,
    root oid,
    by_row text,
    not_wanted text,
    options text,
    operation text,
    trigger_name text,
    wanted text,
    installed text,
    disabled boolean
)
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
{coverage}
$function$;
