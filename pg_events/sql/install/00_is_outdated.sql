-- Does this transaction see a table as it was before another one altered it? One with a snapshot of its own (REPEATABLE READ,
-- SERIALIZABLE) does: the catalog's rows are those of the snapshot, while the table's are those of now. What can be seen of
-- it is that a row has been replaced since, or that columns are missing. This transaction's own version of a row stands beside
-- the one of the snapshot, and hides what was made in between. True also where that was a matter of no account.
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
    return (
        select count(*) <> 1 or bool_or(
            k.xmax <> '0'::xid
            or k.relnatts <> (
                select count(*) from pg_attribute a where a.attrelid = relation and a.attnum > 0 and a.xmax = '0'::xid
            )
        )
        from pg_class k
        where k.oid = relation
    );
end
$function$;
revoke execute on function pgevents.is_outdated(oid) from public;
