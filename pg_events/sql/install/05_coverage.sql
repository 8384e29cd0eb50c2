-- The question of coverage.sql about some tables, for use inside the database: when a table is made, its triggers are made
-- with it. `near`: the tables whose triggers, keys and relatives are looked at.
create or replace function pgevents.coverage(include text[], exclude text[], relations oid[], choices jsonb, near oid[])
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
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
-- To compile the question takes a hundred times as long as to answer it, and to plan it ten times.
set jit = off
set plan_cache_mode = force_generic_plan
-- A plan is kept while the catalog grows: each table is looked up by a key, also where all of them would be read as quickly now.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
as $function$
#variable_conflict use_column
begin
    if choices = '{}' and include = '{}' and exclude = '{}' then
        return query {coverage_of_everything};
    elsif choices = '{}' then
        return query {coverage_without_options};
    else
        return query {coverage};
    end if;
end
$function$;
revoke execute on function pgevents.coverage(text[], text[], oid[], jsonb, oid[]) from public;
