-- cover() for use in an event trigger: when it fails, the user's command does not.
create or replace function pgevents.try_to_cover(relation oid, related boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform pgevents.cover(relation, related);
exception
    when insufficient_resources or statement_too_complex then
        raise;
    when others then
        raise warning 'pg_events could not cover %: % (%)', relation::regclass, sqlerrm, sqlstate
            using hint = 'The command itself is not affected. Run: pg_events build';
end
$function$;
revoke execute on function pgevents.try_to_cover(oid, boolean) from public;
