-- What each of the capture functions does when the quick way is not open: a long text, several rows, values that the
-- writer's settings would spell otherwise, a partition, somebody who sleeps. Copied into each of them by the
-- build: a function called from them would not see the transition tables.
declare
    -- Longest text of a statement that is kept, in characters; 0 keeps none.
    _query_characters constant integer := {query_characters};
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := 1000;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _changed integer; -- none, one, or more
    _many boolean;
    _unpaired boolean := false;
    {capture_pack_variables}
    _others refcursor;
    _query text;
    _statement_id bigint;
    _marker text;
    _columns text;
    _computed boolean;
    _rows text;
    -- How values are spelt must not depend on who writes them. Six SET clauses on this function would cost more than
    -- the rest of it, so the settings are looked at, and changed only when they differ.
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1'
        or current_setting('quote_all_identifiers') = 'on'
        or current_setting('array_nulls') = 'off';
    _session text[];
    _awaited_until bigint;
begin
    if tg_op = 'INSERT' then
        _changed := (select count(*) from (select from new_rows limit 2) r);
    else
        _changed := (select count(*) from (select from old_rows limit 2) r);
    end if;
    if _changed = 0 then
        return null;
    end if;
    _many := _changed > 1;

    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _query_characters > 0 then
        {capture_statement}
        if _statement_id is null then
            _query := current_query();
            {capture_cut}
            if _many or length(_query) > _inline_characters then
                insert into pgevents.statement (query)
                values (_query)
                returning id into _statement_id;
                _marker := _statement_id || ' 0';
                perform set_config('pgevents.statement', _marker || ' ' || pgevents.seal(_marker), true);
                _query := null;
            end if;
        end if;
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

    if tg_op = 'UPDATE' then
        _unpaired := (select count(*) from old_rows) <> (select count(*) from new_rows);
    end if;
    if _many and not _unpaired then
        {capture_whether_packed}
    end if;

    if {capture_foreign} then
        _computed := exists (
            select from pg_attribute a where a.attrelid = tg_relid and a.attgenerated = 'v' and not a.attisdropped
        );
        _columns := pgevents.row_expression(tg_relid, true);
        if _computed then
            -- A virtual generated column is computed by whoever reads it, and may fail then: here it must not fail the write.
            begin
                {capture_computed}
            exception when others then
                raise log 'pg_events recorded a change of % without its virtual generated columns (%)',
                    tg_relid::regclass, sqlstate;
                _packed := 0;
                _columns := pgevents.row_expression(tg_relid, false);
                {capture_computed}
            end;
        else
            {capture_computed}
        end if;
    elsif _is_packed and tg_op = 'INSERT' then
        for _new in select row_to_json(n.*)::text from new_rows n loop
            {capture_pack}
        end loop;
    elsif _is_packed and tg_op = 'DELETE' then
        for _old in select row_to_json(o.*)::text from old_rows o loop
            {capture_pack}
        end loop;
    elsif _is_packed then
        -- Old and new rows come in the same order.
        open _others for select row_to_json(o.*)::text from old_rows o;
        for _new in select row_to_json(n.*)::text from new_rows n loop
            fetch _others into _old;
            {capture_pack}
        end loop;
        close _others;
    elsif tg_op = 'INSERT' then
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, row_to_json(n.*)
        from new_rows n;
    elsif tg_op = 'DELETE' then
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, row_to_json(o.*)
        from old_rows o;
    elsif _unpaired then
        -- A row that was to move to another partition was dropped by a BEFORE trigger there. Which one cannot be
        -- told, so nothing is paired: every row was, and those that are left are.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data)
        select _statement_id, 'D', _table_schema, _table_name, _query, row_to_json(o.*)
        from old_rows o;
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, new_data)
        select _statement_id, 'I', _table_schema, _table_name, _query, row_to_json(n.*)
        from new_rows n;
    elsif not _many then
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, row_to_json(o.*), row_to_json(n.*)
        from old_rows o, new_rows n;
    else
        -- They pair by number. Transition tables have no statistics: a plan made for one row would join twenty
        -- thousand as a nested loop, for minutes. A full join cannot be one.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, o.data, n.data
        from (select row_number() over () as number, row_to_json(r.*) as data from old_rows r) o
        full join (select row_number() over () as number, row_to_json(r.*) as data from new_rows r) n using (number);
    end if;
    {capture_write_packed}

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true),
            set_config('quote_all_identifiers', _session[5], true), set_config('array_nulls', _session[6], true);
    end if;

    _awaited_until := pg_sequence_last_value('pgevents.sleeper'::regclass);
    if to_timestamp(_awaited_until) > clock_timestamp() then
        -- Every role can fill the queue of notifications, and a full one fails the commit: who sleeps then wakes up by himself.
        if pg_notification_queue_usage() < 0.5 then
            perform pg_notify('pgevents', '');
        end if;
    elsif _awaited_until is not null then
        -- The reader that slept is gone: back to the usual case, no last value.
        perform setval('pgevents.sleeper', 0, false);
    end if;
end;
