-- Are columns of this table left out, masked or hashed? Its triggers were told.
create or replace function pgevents.is_private(relation oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return exists (
        select from pg_trigger t
        where t.tgrelid in (relation, pg_partition_root(relation))
          and t.tgname = '00_pgevents_truncate'
          and t.tgnargs = 1
    );
end
$function$;
revoke execute on function pgevents.is_private(oid) from public;
