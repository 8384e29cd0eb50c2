-- Does this transaction see a table as it was before another one altered it? One with a snapshot of its own (REPEATABLE READ,
-- SERIALIZABLE) does: the catalog's rows are those of the snapshot, while the table's are those of now. What can be seen of
-- it is that a row has been replaced since. True also where that was a matter of no account.
create or replace function pgevents.is_outdated(relation oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    if current_setting('transaction_isolation') not in ('repeatable read', 'serializable') then
        return false;
    end if;
    return not exists (select from pg_class k where k.oid = relation and k.xmax = '0'::xid)
        or exists (select from pg_attribute k where k.attrelid = relation and k.attnum > 0 and k.xmax <> '0'::xid);
end
$function$;
revoke execute on function pgevents.is_outdated(oid) from public;
