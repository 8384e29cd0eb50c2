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
    -- The event of a TRUNCATE of a table above, and behind it the partitions whose turn is yet to come in it, each
    -- between two spaces. Anybody can set it; what it says is believed only of an event of this very statement.
    _marker constant text := coalesce(current_setting('pgevents.truncated', true), '');
    _expected text := ' ';
    _below text;
    _id bigint;
begin
    if _marker ~ '^\d{1,18} ' and exists (
        select from pgevents.event e
        where e.id = split_part(_marker, ' ', 1)::bigint
          and e.xid = pg_current_xact_id()
          and e.at = statement_timestamp()
          and e.kind = 'T'
    ) then
        _expected := substr(_marker, position(' ' in _marker));
        if _expected like '% ' || tg_relid || ' %' then
            perform set_config(
                'pgevents.truncated',
                split_part(_marker, ' ', 1) || replace(_expected, ' ' || tg_relid || ' ', ' '),
                true
            );
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
    if _below is not null then
        perform set_config('pgevents.truncated', _id || _expected || _below, true);
    end if;

    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
    return null;
end
$function$;
revoke execute on function pgevents.capture_truncate() from public;
