-- Writes a TRUNCATE to the log. A partitioned table's fires this once for itself and once for each of its partitions:
-- the table's own comes first and is written, those of its partitions are passed over. A partition truncated by
-- itself is written under its own name: its root still has the other rows. An argument says that columns are chosen,
-- see coverage.sql: then the client's text is not kept, it can be about more than this.
create or replace function pgevents.capture_truncate()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    _query_characters constant integer := {query_characters};
    -- Behind a TRUNCATE of a table above: how many rows this transaction had written to the log then, its event, and the
    -- partitions whose turn is yet to come, each between two spaces. Everybody can set it: it is believed when it has the seal of
    -- this very statement.
    _marker constant text := coalesce(current_setting('pgevents.truncated', true), '');
    _expected text := ' ';
    _below text;
    _id bigint;
begin
    if _marker <> '' and pgevents.seal('truncate ' || substr(_marker, 66)) = left(_marker, 64) then
        _id := split_part(_marker, ' ', 3)::bigint;
        -- Who kept the marker can set it again when the TRUNCATE was rolled back, and its event with it.
        if exists (select from pgevents.event e where e.id = _id and e.xid = pg_current_xact_id()) then
            _expected := regexp_replace(substr(_marker, 66), '^[0-9]+ [0-9]+', '');
        end if;
        if _expected like '% ' || tg_relid || ' %' and (
            split_part(_marker, ' ', 2) = pg_stat_get_xact_tuples_inserted('pgevents.event'::regclass)::text
            -- Since then something was written: by a trigger on the table above, or the marker was kept and set again, and
            -- this is another TRUNCATE. When the partition is empty its event is true in any case.
            or exists (
                select from pg_partition_tree(tg_relid) p where p.isleaf and pg_relation_size(p.relid) > 0
            )
        ) then
            _expected := replace(_expected, ' ' || tg_relid || ' ', ' ');
            {capture_truncate_expect}
            return null;
        end if;
    end if;

    select string_agg(p.relid::oid::text || ' ', '') into _below
    from pg_partition_tree(tg_relid) p
    join pg_trigger t on t.tgrelid = p.relid and t.tgname = '00_pgevents_truncate' and t.tgenabled in ('O', 'A')
    where p.relid <> tg_relid;

    insert into pgevents.event (kind, table_schema, table_name, query)
    values ('T', tg_table_schema, tg_table_name, case when tg_nargs = 0 then nullif(left(current_query(), _query_characters), '') end)
    returning id into _id;
    if _below is not null or _expected <> ' ' then
        _expected := _expected || coalesce(_below, '');
        {capture_truncate_expect}
    end if;

    {capture_wake}
    return null;
end
$function$;
revoke execute on function pgevents.capture_truncate() from public;
