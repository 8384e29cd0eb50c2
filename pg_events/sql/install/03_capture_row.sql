-- Writes one row to the log: for tables that a user's own AFTER ROW trigger follows, see coverage.sql. The same
-- event as capture() makes, in the order in which the rows were changed.
create or replace function pgevents.capture_row()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _query_characters constant integer := {query_characters};
    _inline_characters constant integer := 100;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _query text;
    _statement_id bigint;
    _marker text;
    _is_kept_apart boolean := false;
    _is_written boolean;
    _columns text;
    _old json;
    _new json;
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1'
        or current_setting('quote_all_identifiers') = 'on'
        or current_setting('array_nulls') = 'off';
    _session text[];
    _first_lock bigint;
begin
    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _unusual then
        _session := array[
            current_setting('bytea_output'), current_setting('IntervalStyle'),
            current_setting('DateStyle'), current_setting('extra_float_digits'), current_setting('quote_all_identifiers'),
            current_setting('array_nulls')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true),
            set_config('quote_all_identifiers', 'off', true), set_config('array_nulls', 'on', true);
    end if;

    -- The usual row of a statement that changes many: its text is kept already. The setting says where, and which table's rows
    -- can be written as they are, see capture_foreign.sql. Everybody can set it: it is believed when it has the seal of this
    -- very transaction and statement. For every row, so the insert itself looks.
    _marker := current_setting('pgevents.statement', true);
    if split_part(_marker, ' ', 2) like tg_relid || '@%' and _query_characters > 0 then
        insert into pgevents.event (statement_id, kind, table_schema, table_name, old_data, new_data)
        select
            -- The empty text changes nothing, but keeps the planner from evaluating the cast: it fails for a setting that is not a
            -- number.
            (split_part(_marker, ' ', 1) || left(k.relname, 0))::bigint, _kind, _table_schema, _table_name,
            case when tg_op <> 'INSERT' then row_to_json(old) end,
            case when tg_op <> 'DELETE' then row_to_json(new) end
        from pgevents.secret s
        cross join pg_class k
        where pgevents.key_seal(s.key, left(_marker, -65)) = right(_marker, 64)
          -- The table can have been altered since: by a DO block, or by others if what locked it was rolled back. Then this row
          -- of the catalog is another, or has been replaced where the snapshot is from before.
          and k.oid = tg_relid
          and split_part(_marker, ' ', 2) = tg_relid || '@' || k.ctid || '@' || k.xmin
          and (k.xmax = '0'::xid or current_setting('transaction_isolation') not in ('repeatable read', 'serializable'));
        if found then
            {capture_row_end}
        end if;
    end if;

    {capture_lock_first}
    if _query_characters > 0 then
        {capture_statement}
        if _statement_id is null then
            _query := current_query();
            {capture_cut}
            _is_kept_apart := length(_query) > _inline_characters;
            if _is_kept_apart then
                insert into pgevents.statement (query) values (_query) returning id into _statement_id;
                _query := null;
            end if;
        end if;
    end if;
    insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
    select
        _statement_id, _kind, _table_schema, _table_name, _query,
        case when tg_op <> 'INSERT' then row_to_json(old) end,
        case when tg_op <> 'DELETE' then row_to_json(new) end
    where {capture_own_types};
    _is_written := found;
    -- An expression with a question in it is a statement of its own: nothing is asked in vain.
    if not _is_written then
        if not {capture_foreign} then
            insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
            values (
                _statement_id, _kind, _table_schema, _table_name, _query,
                case when tg_op <> 'INSERT' then row_to_json(old) end, case when tg_op <> 'DELETE' then row_to_json(new) end
            );
            _is_written := true;
        end if;
    end if;
    if _is_kept_apart then
        _marker := _statement_id || ' '
            || case
                when _is_written
                    then (select tg_relid || '@' || k.ctid || '@' || k.xmin from pg_class k where k.oid = tg_relid)
                else '0'
            end;
        perform set_config('pgevents.statement', _marker || ' ' || pgevents.seal(_marker), true);
    end if;
    if _is_written then
        {capture_row_end}
    end if;

    _columns := pgevents.row_expression(tg_relid, true);
    if exists (select from pg_attribute a where a.attrelid = tg_relid and a.attgenerated = 'v' and not a.attisdropped) then
        -- A virtual generated column is computed by whoever reads it, and may fail then: here it must not fail the write.
        begin
            {capture_row_computed}
        exception when others then
            raise log 'pg_events recorded a change of % without its virtual generated columns (%)',
                tg_relid::regclass, sqlstate;
            _columns := pgevents.row_expression(tg_relid, false);
            {capture_row_computed}
        end;
    else
        {capture_row_computed}
    end if;
    insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
    values (_statement_id, _kind, _table_schema, _table_name, _query, _old, _new);
    {capture_row_end}
end
$function$;
revoke execute on function pgevents.capture_row() from public;
