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
    -- Behind a TRUNCATE of a table above: which of our markers this is, and the partitions whose turn is yet to come, each
    -- with its file and between two spaces. Everybody can set it, and keep an earlier one: it is believed when it has the seal
    -- of this very statement and no other was made since. When that TRUNCATE was rolled back the files are others again.
    _marker constant text := coalesce(current_setting('pgevents.truncated', true), '');
    _own constant text := ' ' || tg_relid || ':' || coalesce(pg_relation_filenode(tg_relid), 0) || ' ';
    _expected text := ' ';
    _below text;
    _first_lock bigint;
begin
    {capture_lock_first}
    if _marker <> '' then
        if pgevents.seal('truncate ' || substr(_marker, 66)) = left(_marker, 64)
            and split_part(_marker, ' ', 2) = {capture_truncate_number}::text
            -- Where the server counts nothing, each partition has an event of its own.
            and split_part(_marker, ' ', 2) <> '0'
        then
            _expected := regexp_replace(substr(_marker, 66), '^[0-9]+', '');
        end if;
        if position(_own in _expected) > 0 then
            _expected := replace(_expected, _own, ' ');
            {capture_truncate_expect}
            return null;
        end if;
    end if;

    select string_agg(p.relid::oid || ':' || coalesce(pg_relation_filenode(p.relid), 0) || ' ', '') into _below
    from pg_partition_tree(tg_relid) p
    join pg_trigger t on t.tgrelid = p.relid and t.tgname = '00_pgevents_truncate' and t.tgenabled in ('O', 'A')
    where p.relid <> tg_relid;

    insert into pgevents.event (kind, table_schema, table_name, query)
    values ('T', tg_table_schema, tg_table_name, case when tg_nargs = 0 then nullif(left(current_query(), _query_characters), '') end);
    if _below is not null or _expected <> ' ' then
        _expected := _expected || coalesce(_below, '');
        {capture_truncate_expect}
    end if;

    {capture_wake}
    return null;
end
$function$;
revoke execute on function pgevents.capture_truncate() from public;
