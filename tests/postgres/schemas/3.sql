-- What build made at version 3 of the schema: pg_dump of a database with the tables item and tree.


CREATE SCHEMA pgevents;

CREATE FUNCTION pgevents.capture() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when 8192 > 0 then current_query() end;
begin
    if tg_nargs = 0
        -- How values are spelt must not depend on who writes them. SET clauses on this function would cost more than
        -- the rest of the condition, so the session's settings are looked at, and changed only when they differ.
        and current_setting('bytea_output') = 'hex'
        and current_setting('IntervalStyle') = 'postgres'
        and current_setting('DateStyle') like 'ISO%'
        and current_setting('extra_float_digits') collate "C" > '0'
        and -- When a statement can be written to the log at once: its text is short and can stand in each row, the table is no
(8192 = 0 or octet_length(_text) <= least(300, 8192))
and pg_partition_root(tg_relid) is null
and pg_sequence_last_value('pgevents.sleeper'::regclass) is null
    then
        if tg_op = 'INSERT' then
            insert into pgevents.event (kind, table_schema, table_name, query, new_data)
select 'I', tg_table_schema, tg_table_name, _text, row_to_json(n.*)
from new_rows n;
return null;
        elsif tg_op = 'DELETE' then
            insert into pgevents.event (kind, table_schema, table_name, query, old_data)
select 'D', tg_table_schema, tg_table_name, _text, row_to_json(o.*)
from old_rows o;
return null;
        else
            insert into pgevents.event (kind, table_schema, table_name, query, old_data, new_data)
select 'U', tg_table_schema, tg_table_name, _text, row_to_json(o.*), row_to_json(n.*)
from old_rows o, new_rows n
where not exists (select from new_rows offset 1);
if found then
    return null;
end if;
        end if;
    end if;

    -- What each of the capture functions does when the quick way is not open: a long text, several rows updated, values
declare
    -- Longest text of a statement that is kept, in characters; 0 keeps none.
    _query_characters constant integer := 8192;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := 1000;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _many boolean;
    _unpaired boolean;
    _query text;
    _statement_id bigint;
    _marker text;
    _columns text;
    _rows text;
    -- How values are spelt must not depend on who writes them. Six SET clauses on this function would cost more than
    -- the rest of it, so the settings are looked at, and changed only when they differ.
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1';
    _session text[];
    _awaited_until bigint;
begin
    if tg_op = 'INSERT' then
        _many := exists (select from new_rows offset 1);
    else
        _many := exists (select from old_rows offset 1);
    end if;

    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _query_characters > 0 then
        -- One client statement can fire this function thousands of times (a DO block, a cascade): its text is kept
        -- once. The setting says where; anybody can set it, so it is believed only of a text of this very
        -- transaction and statement.
        _marker := current_setting('pgevents.statement', true);
        if _marker ~ '^\d{1,18}$' then
            select s.id into _statement_id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id()
              and s.at = statement_timestamp();
        end if;
        if _statement_id is null then
            _query := current_query();
            if _many or length(_query) > _inline_characters then
                if not _many then
                    -- A statement that changed nothing leaves nothing.
                    if tg_op = 'INSERT' then
                        perform from new_rows;
                    else
                        perform from old_rows;
                    end if;
                    if not found then
                        return null;
                    end if;
                end if;
                insert into pgevents.statement (query)
                values (left(_query, _query_characters))
                returning id into _statement_id;
                perform set_config('pgevents.statement', _statement_id::text, true);
                _query := null;
            else
                _query := left(_query, _query_characters);
            end if;
        end if;
    end if;

    if _unusual then
        _session := array[
            current_setting('bytea_output'), current_setting('IntervalStyle'),
            current_setting('DateStyle'), current_setting('extra_float_digits')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true);
    end if;

    if tg_op = 'UPDATE' then
        _unpaired := (select count(*) from old_rows) <> (select count(*) from new_rows);
    end if;

    if tg_nargs > 0 then
        _columns := pgevents.row_expression(tg_relid);
        _rows := case
            when tg_op = 'INSERT' then format(
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %s from new_rows) n', _columns)
            when tg_op = 'DELETE' then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %s from old_rows) o', _columns)
            when _unpaired then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %1$s from old_rows) o '
                'union all '
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %1$s from new_rows) n', _columns)
            else format(
                'select ''U''::"char", o.data, n.data '
                'from (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from old_rows) r) o '
                'full join (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from new_rows) r) n '
                'using (number)', _columns)
        end;
        execute
            'insert into pgevents.event (statement_id, table_schema, table_name, query, kind, old_data, new_data) '
            'select $1, $2, $3, $4, r.* from (' || _rows || ') r'
        using _statement_id, _table_schema, _table_name, _query;
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
        -- Old and new rows come in the same order and pair by number. Transition tables have no statistics: a plan
        -- made for one row would join twenty thousand as a nested loop, for minutes. A full join cannot be one.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, o.data, n.data
        from (select row_number() over () as number, row_to_json(r.*) as data from old_rows r) o
        full join (select row_number() over () as number, row_to_json(r.*) as data from new_rows r) n using (number);
    end if;

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true);
    end if;

    _awaited_until := pg_sequence_last_value('pgevents.sleeper'::regclass);
    if to_timestamp(_awaited_until) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    elsif _awaited_until is not null then
        -- Whoever slept is gone: back to the usual case, no last value.
        perform setval('pgevents.sleeper', 0, false);
    end if;
end;
    return null;
end
$_$;

CREATE FUNCTION pgevents.capture_chosen() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET bytea_output TO 'hex'
    SET "IntervalStyle" TO 'postgres'
    SET "DateStyle" TO 'ISO'
    SET extra_float_digits TO '1'
    SET "TimeZone" TO 'UTC'
    SET lc_monetary TO 'C'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _options constant jsonb := tg_argv[0];
    _is_row constant boolean := tg_level = 'ROW';
    _chooses_columns constant boolean := _options ?| array['only', 'drop', 'mask', 'hash'];
    -- The client's text can hold the very values that are not to be kept.
    _query_characters constant integer := case when _chooses_columns then 0 else 8192 end;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := case when tg_level = 'ROW' then 100 else 1000 end;
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _kinds "char"[] := array[left(tg_op, 1)::"char"];
    _kind "char";
    _number_of_rows bigint := 1;
    _old_rows text := '(select ($1).*)';
    _new_rows text := '(select ($2).*)';
    _number constant text := case when tg_level = 'ROW' then '1' else 'row_number() over ()' end;
    _shown text;
    _compared text;
    _from text;
    _keep boolean[];
    _key bytea;
    _marker text;
    _statement_id bigint;
    _query text;
    _is_kept_apart boolean := false;
    _written bigint;
    _written_in_all bigint := 0;
begin
    if not _is_row then
        _old_rows := 'old_rows';
        _new_rows := 'new_rows';
        if tg_op = 'INSERT' then
            _number_of_rows := (select count(*) from new_rows);
        else
            _number_of_rows := (select count(*) from old_rows);
            if tg_op = 'UPDATE' then
                if _number_of_rows <> (select count(*) from new_rows) then
                    -- As in capture(): rows that were dropped on their way to another partition. Nothing can be paired.
                    _kinds := '{D,I}';
                end if;
            end if;
        end if;
        if _number_of_rows = 0 and cardinality(_kinds) = 1 then
            return null;
        end if;
    end if;

    -- What it is called and what the client said.
    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;
    if _query_characters > 0 then
        -- As in capture(): a text is kept once, and the setting that says where is believed only of a text of this very
        -- transaction and statement.
        _marker := current_setting('pgevents.statement', true);
        if length(_marker) between 1 and 18 and translate(_marker, '0123456789', '') = '' then
            select s.id into _statement_id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id()
              and s.at = statement_timestamp();
        end if;
        if _statement_id is null then
            _query := left(current_query(), _query_characters);
            _is_kept_apart := _number_of_rows > 1 or length(_query) > _inline_characters;
            if _is_kept_apart then
                _statement_id := nextval('pgevents.event_id'::regclass);
            end if;
        end if;
    end if;

    if not (_is_row or _options ?| array['only', 'drop', 'mask', 'hash', 'when', 'computed']) and _kinds = '{U}' then
        -- The usual case of a setting for all tables: updates that change nothing are left out, and that is all. No
        -- table can have a column `ctid`.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select
            _statement_id, 'U', _table_schema, _table_name, case when not _is_kept_apart then _query end,
            row_to_json(o.data), row_to_json(n.data)
        from (select row_number() over () as number, ctid as data from old_rows ctid) o
        full join (select row_number() over () as number, ctid as data from new_rows ctid) n using (number)
        -- `is not false`: what is strict would let the planner make an inner join of the full one, and a nested loop of that.
        where (o.data *<> n.data) is not false;
        get diagnostics _written_in_all = row_count;
    else
        if _options ? 'computed' then
            _shown := pgevents.row_expression(tg_relid);
            _old_rows := format('(select %s from %s r)', _shown, _old_rows);
            _new_rows := format('(select %s from %s r)', _shown, _new_rows);
        end if;
        if _options ? 'hash' then
            select s.key into _key from pgevents.secret s;
        end if;

        -- The options know a column by its number and its name. Should they no longer agree (renamed while no event
        -- trigger looked, restored from a dump), a column that either points to is treated, and one is only kept if both do.
        with named as (
            select k.key as kind, c.key::smallint as number, n.value as name
            from jsonb_each(_options) k
            cross join lateral jsonb_each(case when k.key in ('only', 'drop', 'mask', 'hash') then k.value end) c
            cross join lateral jsonb_array_elements_text(c.value) n
        ),
        treated as (
            select
                a.attnum,
                quote_ident(a.attname) as name,
                case
                    when bool_or(n.kind = 'drop') then 'drop'
                    when _options ? 'only'
                        and bool_or(n.kind = 'only' and n.number = a.attnum and n.name = a.attname) is not true then 'drop'
                    when bool_or(n.kind = 'mask') then 'mask'
                    when bool_or(n.kind = 'hash') then 'hash'
                end as treatment
            from pg_attribute a
            left join named n on n.number = a.attnum or n.name = a.attname
            where a.attrelid = tg_relid
              and a.attnum > 0
              and not a.attisdropped
            group by a.attnum, a.attname
        )
        select
            string_agg(
                case t.treatment
                    when 'mask' then format('case when %1$s is distinct from null then text ''***'' end as %1$s', t.name)
                    when 'hash' then format(
                        'case when %1$s is distinct from null then left(encode(sha256('
                        '$3 || convert_to(format(''%%s'', %1$s), getdatabaseencoding())), ''hex''), 32) end as %1$s', t.name)
                    else t.name
                end,
                ', ' order by t.attnum
            ),
            string_agg(t.name, ', ' order by t.attnum)
        into _shown, _compared
        from treated t
        where t.treatment is distinct from 'drop';

        foreach _kind in array _kinds loop
            -- Old and new rows come in the same order and pair by number; a full join cannot be a nested loop, see
            -- capture(). The number is called `ctid`, as no column of a table can be. One row is number 1: the planner
            -- has nothing left to join then.
            _from := case _kind
                when 'I' then format('(select %s as ctid, r.* from %s r) new', _number, _new_rows)
                when 'D' then format('(select %s as ctid, r.* from %s r) old', _number, _old_rows)
                else format(
                    '(select %s as ctid, r.* from %s r) old %s join (select %1$s as ctid, r.* from %4$s r) new using (ctid)',
                    _number, _old_rows, case when not _is_row then 'full' end, _new_rows
                )
            end;

            _keep := null;
            if _options ? 'when' then
                begin
                    execute format(
                        'select array_agg(%s order by ctid) from %s %s',
                        (
                            select string_agg(E'(\n' || c.value || E'\n) is not false', ' and ')
                            from jsonb_array_elements_text(_options -> 'when') c
                        ),
                        _from,
                        case _kind
                            when 'I' then format('left join (select r.* from %s r where false) old on true', _new_rows)
                            when 'D' then format('left join (select r.* from %s r where false) new on true', _old_rows)
                        end
                    )
                    into _keep
                    using old, new;
                exception when others then
                    -- To leave a change out needs a reason, and this is none.
                    raise log 'pg_events recorded all of this statement''s changes of %: its condition failed: % (%)',
                        tg_relid::regclass, sqlerrm, sqlstate;
                    _keep := null;
                end;
                continue when not true = any (_keep);
            end if;

            -- xmin and xmax: other names that no column of a table can have.
            execute format(
                'insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data) '
                'select $5, $6, $7, $8, $9, %s, %s from %s%s%s%s '
                'where ($4::boolean[] is null or ($4::boolean[])[ctid::integer])%s',
                case _kind when 'I' then 'null::json' else 'row_to_json(shown_old.*)' end,
                case _kind when 'D' then 'null::json' else 'row_to_json(shown_new.*)' end,
                _from,
                case when _kind <> 'I' then format(' cross join lateral (select %s from (select old.*) r) shown_old', _shown) end,
                case when _kind <> 'D' then format(' cross join lateral (select %s from (select new.*) r) shown_new', _shown) end,
                case when _kind = 'U' and _options ? 'skip_unchanged' then format(
                    ' cross join lateral (select %1$s from (select old.*) r) xmin'
                    ' cross join lateral (select %1$s from (select new.*) r) xmax',
                    _compared
                ) end,
                case when _kind = 'U' and _options ? 'skip_unchanged' then ' and (xmin *<> xmax) is not false' end
            )
            using old, new, _key, _keep, _statement_id, _kind, _table_schema, _table_name,
                case when not _is_kept_apart then _query end;
            get diagnostics _written = row_count;
            _written_in_all := _written_in_all + _written;
        end loop;
    end if;

    if _written_in_all > 0 then
        if _is_kept_apart then
            insert into pgevents.statement (id, query) values (_statement_id, _query);
            perform set_config('pgevents.statement', _statement_id::text, true);
        end if;
        if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
            perform pg_notify('pgevents', '');
        end if;
    end if;
    return null;
end
$_$;

CREATE FUNCTION pgevents.capture_delete() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when 8192 > 0 then current_query() end;
begin
    if -- When a statement can be written to the log at once: its text is short and can stand in each row, the table is no
(8192 = 0 or octet_length(_text) <= least(300, 8192))
and pg_partition_root(tg_relid) is null
and pg_sequence_last_value('pgevents.sleeper'::regclass) is null then
        insert into pgevents.event (kind, table_schema, table_name, query, old_data)
select 'D', tg_table_schema, tg_table_name, _text, row_to_json(o.*)
from old_rows o;
return null;
    end if;

    -- What each of the capture functions does when the quick way is not open: a long text, several rows updated, values
declare
    -- Longest text of a statement that is kept, in characters; 0 keeps none.
    _query_characters constant integer := 8192;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := 1000;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _many boolean;
    _unpaired boolean;
    _query text;
    _statement_id bigint;
    _marker text;
    _columns text;
    _rows text;
    -- How values are spelt must not depend on who writes them. Six SET clauses on this function would cost more than
    -- the rest of it, so the settings are looked at, and changed only when they differ.
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1';
    _session text[];
    _awaited_until bigint;
begin
    if tg_op = 'INSERT' then
        _many := exists (select from new_rows offset 1);
    else
        _many := exists (select from old_rows offset 1);
    end if;

    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _query_characters > 0 then
        -- One client statement can fire this function thousands of times (a DO block, a cascade): its text is kept
        -- once. The setting says where; anybody can set it, so it is believed only of a text of this very
        -- transaction and statement.
        _marker := current_setting('pgevents.statement', true);
        if _marker ~ '^\d{1,18}$' then
            select s.id into _statement_id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id()
              and s.at = statement_timestamp();
        end if;
        if _statement_id is null then
            _query := current_query();
            if _many or length(_query) > _inline_characters then
                if not _many then
                    -- A statement that changed nothing leaves nothing.
                    if tg_op = 'INSERT' then
                        perform from new_rows;
                    else
                        perform from old_rows;
                    end if;
                    if not found then
                        return null;
                    end if;
                end if;
                insert into pgevents.statement (query)
                values (left(_query, _query_characters))
                returning id into _statement_id;
                perform set_config('pgevents.statement', _statement_id::text, true);
                _query := null;
            else
                _query := left(_query, _query_characters);
            end if;
        end if;
    end if;

    if _unusual then
        _session := array[
            current_setting('bytea_output'), current_setting('IntervalStyle'),
            current_setting('DateStyle'), current_setting('extra_float_digits')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true);
    end if;

    if tg_op = 'UPDATE' then
        _unpaired := (select count(*) from old_rows) <> (select count(*) from new_rows);
    end if;

    if tg_nargs > 0 then
        _columns := pgevents.row_expression(tg_relid);
        _rows := case
            when tg_op = 'INSERT' then format(
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %s from new_rows) n', _columns)
            when tg_op = 'DELETE' then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %s from old_rows) o', _columns)
            when _unpaired then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %1$s from old_rows) o '
                'union all '
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %1$s from new_rows) n', _columns)
            else format(
                'select ''U''::"char", o.data, n.data '
                'from (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from old_rows) r) o '
                'full join (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from new_rows) r) n '
                'using (number)', _columns)
        end;
        execute
            'insert into pgevents.event (statement_id, table_schema, table_name, query, kind, old_data, new_data) '
            'select $1, $2, $3, $4, r.* from (' || _rows || ') r'
        using _statement_id, _table_schema, _table_name, _query;
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
        -- Old and new rows come in the same order and pair by number. Transition tables have no statistics: a plan
        -- made for one row would join twenty thousand as a nested loop, for minutes. A full join cannot be one.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, o.data, n.data
        from (select row_number() over () as number, row_to_json(r.*) as data from old_rows r) o
        full join (select row_number() over () as number, row_to_json(r.*) as data from new_rows r) n using (number);
    end if;

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true);
    end if;

    _awaited_until := pg_sequence_last_value('pgevents.sleeper'::regclass);
    if to_timestamp(_awaited_until) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    elsif _awaited_until is not null then
        -- Whoever slept is gone: back to the usual case, no last value.
        perform setval('pgevents.sleeper', 0, false);
    end if;
end;
    return null;
end
$_$;

CREATE FUNCTION pgevents.capture_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when 8192 > 0 then current_query() end;
begin
    if -- When a statement can be written to the log at once: its text is short and can stand in each row, the table is no
(8192 = 0 or octet_length(_text) <= least(300, 8192))
and pg_partition_root(tg_relid) is null
and pg_sequence_last_value('pgevents.sleeper'::regclass) is null then
        insert into pgevents.event (kind, table_schema, table_name, query, new_data)
select 'I', tg_table_schema, tg_table_name, _text, row_to_json(n.*)
from new_rows n;
return null;
    end if;

    -- What each of the capture functions does when the quick way is not open: a long text, several rows updated, values
declare
    -- Longest text of a statement that is kept, in characters; 0 keeps none.
    _query_characters constant integer := 8192;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := 1000;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _many boolean;
    _unpaired boolean;
    _query text;
    _statement_id bigint;
    _marker text;
    _columns text;
    _rows text;
    -- How values are spelt must not depend on who writes them. Six SET clauses on this function would cost more than
    -- the rest of it, so the settings are looked at, and changed only when they differ.
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1';
    _session text[];
    _awaited_until bigint;
begin
    if tg_op = 'INSERT' then
        _many := exists (select from new_rows offset 1);
    else
        _many := exists (select from old_rows offset 1);
    end if;

    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _query_characters > 0 then
        -- One client statement can fire this function thousands of times (a DO block, a cascade): its text is kept
        -- once. The setting says where; anybody can set it, so it is believed only of a text of this very
        -- transaction and statement.
        _marker := current_setting('pgevents.statement', true);
        if _marker ~ '^\d{1,18}$' then
            select s.id into _statement_id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id()
              and s.at = statement_timestamp();
        end if;
        if _statement_id is null then
            _query := current_query();
            if _many or length(_query) > _inline_characters then
                if not _many then
                    -- A statement that changed nothing leaves nothing.
                    if tg_op = 'INSERT' then
                        perform from new_rows;
                    else
                        perform from old_rows;
                    end if;
                    if not found then
                        return null;
                    end if;
                end if;
                insert into pgevents.statement (query)
                values (left(_query, _query_characters))
                returning id into _statement_id;
                perform set_config('pgevents.statement', _statement_id::text, true);
                _query := null;
            else
                _query := left(_query, _query_characters);
            end if;
        end if;
    end if;

    if _unusual then
        _session := array[
            current_setting('bytea_output'), current_setting('IntervalStyle'),
            current_setting('DateStyle'), current_setting('extra_float_digits')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true);
    end if;

    if tg_op = 'UPDATE' then
        _unpaired := (select count(*) from old_rows) <> (select count(*) from new_rows);
    end if;

    if tg_nargs > 0 then
        _columns := pgevents.row_expression(tg_relid);
        _rows := case
            when tg_op = 'INSERT' then format(
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %s from new_rows) n', _columns)
            when tg_op = 'DELETE' then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %s from old_rows) o', _columns)
            when _unpaired then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %1$s from old_rows) o '
                'union all '
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %1$s from new_rows) n', _columns)
            else format(
                'select ''U''::"char", o.data, n.data '
                'from (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from old_rows) r) o '
                'full join (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from new_rows) r) n '
                'using (number)', _columns)
        end;
        execute
            'insert into pgevents.event (statement_id, table_schema, table_name, query, kind, old_data, new_data) '
            'select $1, $2, $3, $4, r.* from (' || _rows || ') r'
        using _statement_id, _table_schema, _table_name, _query;
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
        -- Old and new rows come in the same order and pair by number. Transition tables have no statistics: a plan
        -- made for one row would join twenty thousand as a nested loop, for minutes. A full join cannot be one.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, o.data, n.data
        from (select row_number() over () as number, row_to_json(r.*) as data from old_rows r) o
        full join (select row_number() over () as number, row_to_json(r.*) as data from new_rows r) n using (number);
    end if;

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true);
    end if;

    _awaited_until := pg_sequence_last_value('pgevents.sleeper'::regclass);
    if to_timestamp(_awaited_until) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    elsif _awaited_until is not null then
        -- Whoever slept is gone: back to the usual case, no last value.
        perform setval('pgevents.sleeper', 0, false);
    end if;
end;
    return null;
end
$_$;

CREATE FUNCTION pgevents.capture_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _query_characters constant integer := 8192;
    _inline_characters constant integer := 100;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _query text;
    _statement_id bigint;
    _marker text;
    _is_written boolean := false;
    _select text;
    _old json;
    _new json;
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1';
    _session text[];
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
            current_setting('DateStyle'), current_setting('extra_float_digits')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true);
    end if;

    if tg_nargs > 0 then
        _select := 'select row_to_json(c.*) from (select ' || pgevents.row_expression(tg_relid) || ' from (select ($1).*) r) c';
    end if;
    if tg_op <> 'INSERT' then
        if tg_nargs > 0 then
            execute _select into _old using old;
        else
            _old := row_to_json(old);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if tg_nargs > 0 then
            execute _select into _new using new;
        else
            _new := row_to_json(new);
        end if;
    end if;

    -- One client statement can fire this function thousands of times: its text is kept once. The setting says where;
    -- anybody can set it, so it is believed only of a text of this very transaction and statement. Looked up by the
    -- insert itself, and no regular expression: this is done for every row.
    _marker := current_setting('pgevents.statement', true);
    if _query_characters > 0 and length(_marker) between 1 and 18 and translate(_marker, '0123456789', '') = '' then
        insert into pgevents.event (statement_id, kind, table_schema, table_name, old_data, new_data)
        select s.id, _kind, _table_schema, _table_name, _old, _new
        from pgevents.statement s
        where s.id = _marker::bigint
          and s.xid = pg_current_xact_id()
          and s.at = statement_timestamp();
        _is_written := found;
    end if;
    if not _is_written then
        if _query_characters > 0 then
            _query := left(current_query(), _query_characters);
            if length(_query) > _inline_characters then
                insert into pgevents.statement (query) values (_query) returning id into _statement_id;
                perform set_config('pgevents.statement', _statement_id::text, true);
                _query := null;
            end if;
        end if;
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        values (_statement_id, _kind, _table_schema, _table_name, _query, _old, _new);
    end if;

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true);
    end if;

    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
    return null;
end
$_$;

CREATE FUNCTION pgevents.capture_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    _query_characters constant integer := 8192;
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
$$;

CREATE FUNCTION pgevents.capture_update() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _text constant text := case when 8192 > 0 then current_query() end;
begin
    if -- When a statement can be written to the log at once: its text is short and can stand in each row, the table is no
(8192 = 0 or octet_length(_text) <= least(300, 8192))
and pg_partition_root(tg_relid) is null
and pg_sequence_last_value('pgevents.sleeper'::regclass) is null then
        insert into pgevents.event (kind, table_schema, table_name, query, old_data, new_data)
select 'U', tg_table_schema, tg_table_name, _text, row_to_json(o.*), row_to_json(n.*)
from old_rows o, new_rows n
where not exists (select from new_rows offset 1);
if found then
    return null;
end if;
    end if;

    -- What each of the capture functions does when the quick way is not open: a long text, several rows updated, values
declare
    -- Longest text of a statement that is kept, in characters; 0 keeps none.
    _query_characters constant integer := 8192;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := 1000;
    _kind constant "char" := left(tg_op, 1);
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _many boolean;
    _unpaired boolean;
    _query text;
    _statement_id bigint;
    _marker text;
    _columns text;
    _rows text;
    -- How values are spelt must not depend on who writes them. Six SET clauses on this function would cost more than
    -- the rest of it, so the settings are looked at, and changed only when they differ.
    _unusual constant boolean := current_setting('bytea_output') <> 'hex'
        or current_setting('IntervalStyle') <> 'postgres'
        or current_setting('DateStyle') not like 'ISO%'
        or current_setting('extra_float_digits') collate "C" < '1';
    _session text[];
    _awaited_until bigint;
begin
    if tg_op = 'INSERT' then
        _many := exists (select from new_rows offset 1);
    else
        _many := exists (select from old_rows offset 1);
    end if;

    if _relation <> tg_relid then
        select n.nspname, c.relname into _table_schema, _table_name
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.oid = _relation;
    end if;

    if _query_characters > 0 then
        -- One client statement can fire this function thousands of times (a DO block, a cascade): its text is kept
        -- once. The setting says where; anybody can set it, so it is believed only of a text of this very
        -- transaction and statement.
        _marker := current_setting('pgevents.statement', true);
        if _marker ~ '^\d{1,18}$' then
            select s.id into _statement_id
            from pgevents.statement s
            where s.id = _marker::bigint
              and s.xid = pg_current_xact_id()
              and s.at = statement_timestamp();
        end if;
        if _statement_id is null then
            _query := current_query();
            if _many or length(_query) > _inline_characters then
                if not _many then
                    -- A statement that changed nothing leaves nothing.
                    if tg_op = 'INSERT' then
                        perform from new_rows;
                    else
                        perform from old_rows;
                    end if;
                    if not found then
                        return null;
                    end if;
                end if;
                insert into pgevents.statement (query)
                values (left(_query, _query_characters))
                returning id into _statement_id;
                perform set_config('pgevents.statement', _statement_id::text, true);
                _query := null;
            else
                _query := left(_query, _query_characters);
            end if;
        end if;
    end if;

    if _unusual then
        _session := array[
            current_setting('bytea_output'), current_setting('IntervalStyle'),
            current_setting('DateStyle'), current_setting('extra_float_digits')
        ];
        perform set_config('bytea_output', 'hex', true), set_config('IntervalStyle', 'postgres', true),
            set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true);
    end if;

    if tg_op = 'UPDATE' then
        _unpaired := (select count(*) from old_rows) <> (select count(*) from new_rows);
    end if;

    if tg_nargs > 0 then
        _columns := pgevents.row_expression(tg_relid);
        _rows := case
            when tg_op = 'INSERT' then format(
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %s from new_rows) n', _columns)
            when tg_op = 'DELETE' then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %s from old_rows) o', _columns)
            when _unpaired then format(
                'select ''D''::"char", row_to_json(o.*), null::json from (select %1$s from old_rows) o '
                'union all '
                'select ''I''::"char", null::json, row_to_json(n.*) from (select %1$s from new_rows) n', _columns)
            else format(
                'select ''U''::"char", o.data, n.data '
                'from (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from old_rows) r) o '
                'full join (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from new_rows) r) n '
                'using (number)', _columns)
        end;
        execute
            'insert into pgevents.event (statement_id, table_schema, table_name, query, kind, old_data, new_data) '
            'select $1, $2, $3, $4, r.* from (' || _rows || ') r'
        using _statement_id, _table_schema, _table_name, _query;
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
        -- Old and new rows come in the same order and pair by number. Transition tables have no statistics: a plan
        -- made for one row would join twenty thousand as a nested loop, for minutes. A full join cannot be one.
        insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
        select _statement_id, _kind, _table_schema, _table_name, _query, o.data, n.data
        from (select row_number() over () as number, row_to_json(r.*) as data from old_rows r) o
        full join (select row_number() over () as number, row_to_json(r.*) as data from new_rows r) n using (number);
    end if;

    if _unusual then
        perform set_config('bytea_output', _session[1], true), set_config('IntervalStyle', _session[2], true),
            set_config('DateStyle', _session[3], true), set_config('extra_float_digits', _session[4], true);
    end if;

    _awaited_until := pg_sequence_last_value('pgevents.sleeper'::regclass);
    if to_timestamp(_awaited_until) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    elsif _awaited_until is not null then
        -- Whoever slept is gone: back to the usual case, no last value.
        perform setval('pgevents.sleeper', 0, false);
    end if;
end;
    return null;
end
$_$;

CREATE FUNCTION pgevents.children(relation oid) RETURNS SETOF oid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with recursive child (relid) as (
        select i.inhrelid from pg_inherits i where i.inhparent = relation
        union
        select i.inhrelid from child c join pg_inherits i on i.inhparent = c.relid
    )
    select c.relid
    from child c
    join pg_class k on k.oid = c.relid and k.relkind in ('r', 'p')
$$;

CREATE FUNCTION pgevents.column_difference(before json, after json) RETURNS json
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with pair as (
        select
            coalesce((n.value ->> 'number')::integer, (o.value ->> 'number')::integer) as number,
            o.value as old,
            n.value as new
        from json_array_elements(coalesce(before, '[]')) o
        full join json_array_elements(coalesce(after, '[]')) n on n.value ->> 'number' = o.value ->> 'number'
    ),
    part as (
        select
            json_agg(json_build_object('name', new ->> 'name', 'type', new ->> 'type') order by number)
                filter (where old is null) as added,
            json_agg(json_build_object('name', old ->> 'name', 'type', old ->> 'type') order by number)
                filter (where new is null) as removed,
            json_agg(
                json_strip_nulls(json_build_object(
                    'name', new ->> 'name',
                    'type', new ->> 'type',
                    'not_null', new -> 'not_null',
                    'old_name', case when old ->> 'name' <> new ->> 'name' then old ->> 'name' end,
                    'old_type', case when old ->> 'type' <> new ->> 'type' then old ->> 'type' end,
                    'old_not_null', case when old ->> 'not_null' <> new ->> 'not_null' then old -> 'not_null' end
                )) order by number
            ) filter (where old is not null and new is not null and old::text <> new::text) as changed
        from pair
    )
    select json_build_object(
        'added', coalesce(added, '[]'), 'removed', coalesce(removed, '[]'), 'changed', coalesce(changed, '[]')
    )
    from part
    where added is not null or removed is not null or changed is not null
$$;

CREATE FUNCTION pgevents.cover(relation oid, related boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET standard_conforming_strings TO 'on'
    SET jit TO 'off'
    SET lock_timeout TO '200ms'
    AS $$
declare
    _relations oid[];
    _step record;
begin
    select array_agg(distinct r.relid) into _relations
    from (
        select relation as relid
        union all
        select t.relid from pg_partition_tree(case when related then pg_partition_root(relation) else relation end) t
        union all
        select case when i.inhrelid = relation then i.inhparent else i.inhrelid end
        from pg_inherits i
        where relation in (i.inhrelid, i.inhparent)
    ) r;
    for _step in
        select c.*
        from pgevents.coverage(
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'include'),
            (select array(select json_array_elements_text(s.value::json)) from pgevents.setting s where s.name = 'exclude'),
            _relations,
            coalesce((select s.value::jsonb from pgevents.setting s where s.name = 'choices'), '{}')
        ) c
        where c.wanted is distinct from c.installed
    loop
        if _step.wanted is null then
            execute format('drop trigger %I on %I.%I', _step.trigger_name, _step.table_schema, _step.table_name);
        else
            execute regexp_replace(_step.wanted, '^CREATE TRIGGER', 'create or replace trigger');
        end if;
    end loop;
end
$$;

CREATE FUNCTION pgevents.coverage(include text[], exclude text[], relations oid[], choices jsonb) RETURNS TABLE(oid oid, table_schema text, table_name text, relation_kind text, root oid, by_row text, not_wanted text, options text, operation text, trigger_name text, wanted text, installed text, disabled boolean)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
with relation as (
    select
        c.oid,
        n.nspname,
        c.relname,
        c.relkind,
        c.relispartition,
        root_class.oid as root,
        root_namespace.nspname as root_schema,
        root_class.relname as root_name,
        -- No setting of the writer's changes how its values are spelt, and none of them has to be computed.
        not exists (
            select from pg_catalog.pg_attribute a
            join pg_catalog.pg_type t on t.oid = a.atttypid
            join pg_catalog.pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
            where a.attrelid = c.oid
              and a.attnum > 0
              and not a.attisdropped
              and (
                  a.attgenerated = 'v'
                  or e.typtype <> 'e' and (e.typnamespace <> 'pg_catalog'::regnamespace or e.typname <> all ('{
                      bool,int2,int4,int8,numeric,char,name,text,varchar,bpchar,uuid,json,jsonb,
                      date,time,timestamp,timestamptz,inet,cidr,macaddr,macaddr8,bit,varbit
                  }'::text[]))
              )
        ) as is_plain
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_class root_class on root_class.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
    join pg_catalog.pg_namespace root_namespace on root_namespace.oid = root_class.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
      and c.relpersistence <> 't'
      and n.nspname <> 'pgevents'
      and n.nspname <> 'information_schema'
      and n.nspname not like 'pg\_%'
      and ($3::oid[] is null or c.oid = any ($3::oid[]))
),
glob as (
    select
        glob,
        position('.' in glob) > 0 as qualified,
        -- LIKE's own wildcards are letters in a glob; the glob's become LIKE's.
        replace(replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_') as pattern
    from (
        select unnest($1::text[])
        union
        select unnest($2::text[])
        union
        select unnest(array[t.key, x.value])
        from jsonb_each($4::jsonb) k
        cross join lateral jsonb_each(k.value) t
        cross join lateral jsonb_array_elements_text(t.value) x
    ) g (glob)
),
pattern as (
    select p.kind, g.qualified, g.pattern
    from (
        select 'include' as kind, unnest($1::text[]) as glob
        union all
        select 'exclude', unnest($2::text[])
    ) p
    join glob g using (glob)
),
chosen as (
    select
        r.*,
        case
            when r.relkind = 'v' then 'a view: capture the tables below it'
            when r.relkind = 'm' then 'a materialized view: PostgreSQL has no triggers on it'
            when r.relkind = 'f' then 'a foreign table: its changes happen elsewhere'
            when exists (
                select from pg_catalog.pg_depend d
                where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = r.root and d.deptype = 'e'
            ) and not exists (
                select from pattern p
                where p.kind = 'include'
                  and p.qualified
                  and r.root_schema || '.' || r.root_name like p.pattern
            ) then 'belongs to an extension'
            when exists (
                select from pattern p
                where p.kind = 'exclude'
                  and case when p.qualified then r.root_schema || '.' else '' end || r.root_name like p.pattern
            ) then 'excluded by the settings'
            when exists (select from pattern p where p.kind = 'include') and not exists (
                select from pattern p
                where p.kind = 'include'
                  and case when p.qualified then r.root_schema || '.' else '' end || r.root_name like p.pattern
            ) then 'not among the tables to include'
        end as not_wanted
    from relation r
),
choice as (
    select k.key as kind, g.qualified, g.pattern, x.value as text
    from jsonb_each($4::jsonb) k
    cross join lateral jsonb_each(k.value) t
    join glob g on g.glob = t.key
    cross join lateral jsonb_array_elements_text(t.value) x
),
told as materialized (
    select
        t.tgrelid as relation,
        convert_from(rtrim(t.tgargs, decode('00', 'hex')), getdatabaseencoding()::name)::jsonb as options
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = t.tgfoid
    join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    where exists (select from choice)
      and n.nspname = 'pgevents'
      and f.proname in ('capture_chosen', 'capture_truncate')
      and t.tgnargs = 1
),
table_name as (
    select c.oid, c.root_schema::text as schema, c.root_name::text as name, true as is_now
    from chosen c
    where c.not_wanted is null
      and exists (select from choice)
    union
    select c.oid, n.value ->> 0, n.value ->> 1, false
    from chosen c
    join told d on d.relation in (c.oid, c.root)
    cross join lateral jsonb_array_elements(d.options -> 'tables') n
    where c.not_wanted is null
),
applies as (
    select
        n.oid,
        c.kind,
        c.text,
        coalesce(
            jsonb_agg(distinct jsonb_build_array(n.schema, n.name)) filter (where n.is_now),
            jsonb_agg(distinct jsonb_build_array(n.schema, n.name))
        ) as tables
    from table_name n
    join choice c on case when c.qualified then n.schema || '.' else '' end || n.name like c.pattern
    group by n.oid, c.kind, c.text
),
column_name as (
    select a.attrelid, a.attnum, a.attname, a.attname::text as name, true as is_now
    from pg_catalog.pg_attribute a
    where a.attrelid in (select p.oid from applies p where p.kind in ('only', 'drop', 'mask', 'hash'))
      and a.attnum > 0
      and not a.attisdropped
    union
    -- What a partitioned table's triggers were told of a column holds for the column of that name in its partitions.
    select a.attrelid, a.attnum, a.attname, n.value, false
    from relation r
    join told d on d.relation in (r.oid, r.root)
    join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_attribute t on t.attrelid = d.relation and t.attname = a.attname
    cross join lateral jsonb_each(d.options) k
    cross join lateral jsonb_array_elements_text(
        case when k.key in ('only', 'drop', 'mask', 'hash') then k.value -> t.attnum::text end
    ) n
),
treated as (
    select
        n.attrelid,
        n.attnum,
        p.kind,
        jsonb_build_array(n.attname)
            || case when bool_or(n.is_now) then '[]' else jsonb_agg(distinct to_jsonb(n.name)) end as names
    from column_name n
    join applies p on p.oid = n.attrelid and p.kind in ('only', 'drop', 'mask', 'hash')
    join glob g on g.glob = p.text
    where n.name like g.pattern
    group by n.attrelid, n.attnum, n.attname, p.kind
),
strictest as (
    select distinct on (attrelid, attnum, kind = 'only') attrelid, attnum, kind, names
    from (
        select attrelid, attnum, kind, names, 1 as origin from treated
        union all
        -- What is computed from a column tells of it.
        select a.attrelid, a.attnum, t.kind, jsonb_build_array(a.attname), 2
        from treated t
        join pg_catalog.pg_depend d
            on d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = t.attrelid
            and d.refobjsubid = t.attnum
            and d.classid = 'pg_catalog.pg_attrdef'::regclass
        join pg_catalog.pg_attrdef e on e.oid = d.objid
        join pg_catalog.pg_attribute a on a.attrelid = e.adrelid and a.attnum = e.adnum and a.attgenerated <> ''
        where t.kind <> 'only'
    ) t
    order by attrelid, attnum, kind = 'only', kind = 'hash', kind = 'mask', origin
),
treatment as (
    select attrelid, kind, jsonb_object_agg(attnum, names) as columns from strictest group by attrelid, kind
),
options as (
    select
        p.oid,
        jsonb_strip_nulls(jsonb_build_object(
            'tables', (
                select jsonb_agg(distinct n.value)
                from applies a
                cross join lateral jsonb_array_elements(a.tables) n
                where a.oid = p.oid
            ),
            'only', coalesce(
                (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'only'),
                case when bool_or(p.kind = 'only') then '{}'::jsonb end
            ),
            'drop', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'drop'),
            'mask', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'mask'),
            'hash', (select t.columns from treatment t where t.attrelid = p.oid and t.kind = 'hash'),
            'when', jsonb_agg(distinct to_jsonb(p.text)) filter (where p.kind = 'when'),
            'skip_unchanged', case when bool_or(p.kind = 'skip_unchanged') then true end
        )) as options
    from applies p
    group by p.oid
),
by_row as (
    select distinct on (root) root, reason
    from (
        -- Such a trigger can change the same row again, before a statement trigger of ours would see the first change:
        -- the log would hold the two in the wrong order.
        select coalesce(pg_catalog.pg_partition_root(t.tgrelid), t.tgrelid) as root, 'a trigger of yours follows each row' as reason
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc f on f.oid = t.tgfoid
        join pg_catalog.pg_namespace n on n.oid = f.pronamespace
        where not t.tgisinternal
          and n.nspname <> 'pgevents'
          and t.tgtype & 1 = 1        -- for each row
          and t.tgtype & (2 | 64) = 0 -- after
          and t.tgenabled <> 'D'
          and not t.tginitdeferred    -- a deferred one runs when ours are done
        union all
        -- A statement trigger of the parent's would see the rows of its children without the columns they add.
        select r.relid, 'it inherits, or is inherited from'
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class child on child.oid = i.inhrelid and not child.relispartition and child.relkind in ('r', 'f')
        cross join lateral (values (i.inhrelid), (i.inhparent)) r (relid)
        union all
        -- One statement elsewhere (a customer's DELETE) can change a row here and then delete it: the statement trigger
        -- for the deletes can come before that for the updates.
        select coalesce(pg_catalog.pg_partition_root(f.conrelid), f.conrelid), 'a delete elsewhere can both change and delete its rows'
        from pg_catalog.pg_constraint f
        where f.contype = 'f'
        group by 1
        having bool_or(f.confdeltype = 'c')
           and bool_or(f.confdeltype in ('n', 'd'))
        union all
        -- PostgreSQL refuses writes that would collect a foreign table's rows for a statement trigger.
        select coalesce(pg_catalog.pg_partition_root(c.oid), c.oid), 'one of its partitions is a foreign table'
        from pg_catalog.pg_class c
        where c.relkind = 'f' and c.relispartition
    ) r
    order by root, reason
),
operation as (
    select
        c.*,
        o.operation,
        o.referencing,
        b.reason as by_row,
        s.options,
        -- What of the options bears on this operation.
        case
            when o.operation = 'truncate' and s.options ?| array['only', 'drop', 'mask', 'hash']
                then s.options - array['when', 'skip_unchanged']
            when o.operation = 'update' and s.options ?| array['only', 'drop', 'mask', 'hash', 'when', 'skip_unchanged']
                then s.options
            when o.operation in ('insert', 'delete') and s.options ?| array['only', 'drop', 'mask', 'hash', 'when']
                then s.options - 'skip_unchanged'
        end as argument,
        o.operation <> 'truncate' and exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped
        ) as computed
    from chosen c
    left join by_row b on b.root = c.root
    left join options s on s.oid = c.oid
    cross join (
        values
            (1, 'insert', 'REFERENCING NEW TABLE AS new_rows '),
            (2, 'update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '),
            (3, 'delete', 'REFERENCING OLD TABLE AS old_rows '),
            (4, 'truncate', '')
    ) o (number, operation, referencing)
),
wanted as (
    select
        o.*,
        '00_pgevents_' || o.operation as trigger_name,
        case
            when o.not_wanted is not null then null
            when o.operation <> 'truncate' and o.by_row is not null and o.relkind = 'p' then null
            else pg_catalog.format(
                'CREATE TRIGGER "00_pgevents_%s" AFTER %s ON %I.%I %sFOR EACH %s EXECUTE FUNCTION pgevents.%s(%s)',
                o.operation,
                upper(o.operation),
                o.nspname,
                o.relname,
                case when o.by_row is null then o.referencing else '' end,
                case when o.by_row is null or o.operation = 'truncate' then 'STATEMENT' else 'ROW' end,
                case when o.operation = 'truncate' then 'capture_truncate'
                     when o.argument is not null then 'capture_chosen'
                     when o.by_row is not null then 'capture_row'
                     when o.is_plain then 'capture_' || o.operation
                     else 'capture' end,
                -- As the database spells it: a backslash is a letter.
                '''' || replace(
                    case
                        when o.argument is not null
                            then (o.argument || case when o.computed then '{"computed": true}' else '{}' end::jsonb)::text
                        when o.computed then 'computed'
                    end,
                    '''', ''''''
                ) || ''''
            )
        end as wanted
    from operation o
)
select
    w.oid,
    w.nspname::text as table_schema,
    w.relname::text as table_name,
    case
        when w.relkind = 'r' and w.relispartition then 'partition'
        when w.relkind = 'r' then 'table'
        when w.relkind = 'p' then 'partitioned table'
        when w.relkind = 'v' then 'view'
        when w.relkind = 'm' then 'materialized view'
        else 'foreign table'
    end as relation_kind,
    w.root,
    w.by_row,
    w.not_wanted,
    w.options::text as options,
    w.operation,
    w.trigger_name,
    w.wanted,
    pg_catalog.pg_get_triggerdef(t.oid) as installed,
    t.tgenabled in ('D', 'R') as disabled
from wanted w
left join pg_catalog.pg_trigger t on t.tgrelid = w.oid and t.tgname = w.trigger_name and not t.tgisinternal
order by w.nspname, w.relname, w.oid, w.operation = 'truncate', w.operation = 'delete', w.operation = 'update'
$_$;

CREATE FUNCTION pgevents.current_columns(relation oid) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select json_agg(
        json_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull
        ) order by a.attnum
    )
    from pg_attribute a
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
$$;

CREATE FUNCTION pgevents.ddl_query() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select nullif(left(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    current_query(),
                    $re$(\mpassword\M['"]?\s*(?:=>?|,|\s)\s*)(''[^']+''|e'(?:[^'\\]|\\.|'')*'|(?:u&)?'(?:[^']|'')*'|\$(\w*)\$.*?\$\3\$)$re$,
                    '\1''***''', 'gi'
                ),
                $re$(\mpassword\s*=\s*)[^\s'"]+$re$, '\1***', 'gi'
            ),
            $re$(\m\w+://[^\s:/@']*:)[^\s@']+@$re$, '\1***@', 'g'
        ),
        8192
    ), '')
$_$;

CREATE FUNCTION pgevents.is_building() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select current_setting('pgevents.building', true) = 'on'
       and (select pg_has_role(session_user, n.nspowner, 'member') from pg_namespace n where n.nspname = 'pgevents')
$$;

CREATE FUNCTION pgevents.note_shape(noted_relation oid) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    _before json;
    _after json := coalesce(pgevents.current_columns(noted_relation), '[]');
begin
    select s.columns into _before from pgevents.shape s where s.relation = noted_relation;
    insert into pgevents.shape as s (relation, table_schema, table_name, columns)
    select c.oid, n.nspname, c.relname, _after
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = noted_relation
    on conflict (relation) do update
    set table_schema = excluded.table_schema, table_name = excluded.table_name, columns = excluded.columns
    where (s.table_schema, s.table_name, s.columns::text)
        is distinct from (excluded.table_schema, excluded.table_name, excluded.columns::text);
    return pgevents.column_difference(_before, _after);
end
$$;

CREATE FUNCTION pgevents.object_name(classid oid, objid oid, objsubid integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when classid = 'pg_class'::regclass and objsubid > 0 then (
            select a.attname::text from pg_attribute a where a.attrelid = objid and a.attnum = objsubid
        )
        when classid = 'pg_type'::regclass then (select t.typname::text from pg_type t where t.oid = objid)
        else (
            select names[array_upper(names, 1)]
            from (select (pg_identify_object_as_address(classid, objid, objsubid)).object_names as names) address
        )
    end
    where classid is not null and objid is not null
$$;

CREATE FUNCTION pgevents.row_expression(relation oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select string_agg(
        case
            when a.attgenerated = 'v' then format(
                '(%s)::%s as %I', pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod), a.attname
            )
            else quote_ident(a.attname)
        end,
        ', ' order by a.attnum
    )
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = relation
      and a.attnum > 0
      and not a.attisdropped
$$;

CREATE FUNCTION pgevents.schema_changed() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    _command record;
    _tables oid[] := '{}';
    _related boolean[] := '{}';
    _kind "char";
    _difference json;
begin
    if pgevents.is_building() then
        return;
    end if;
    for _command in
        select
            c.*,
            coalesce(
                case when c.classid = 'pg_class'::regclass then c.objid end,
                (select t.tgrelid from pg_trigger t where c.classid = 'pg_trigger'::regclass and t.oid = c.objid)
            ) as relation
        from pg_event_trigger_ddl_commands() c
        where c.schema_name is distinct from 'pgevents'
          and c.schema_name is distinct from 'pg_temp'
          and c.object_identity is distinct from 'pgevents'
          -- One look by its OID: as an anti-join this reads all triggers there are, at every command.
          and (
              select t.tgname from pg_trigger t where c.classid = 'pg_trigger'::regclass and t.oid = c.objid
          ) like '00\_pgevents\_%' is not true
    loop
        _difference := null;
        select k.relkind into _kind
        from pg_class k
        where k.oid = _command.relation
          and k.relkind in ('r', 'p', 'f');
        if found then
            -- A new table is nobody's business but its own; a foreign one bears on the tree it is a partition of.
            _tables := _tables || _command.relation;
            _related := _related || (_kind = 'f' or _command.command_tag not in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO'));
            if _command.classid = 'pg_class'::regclass and _kind <> 'f' then
                _difference := pgevents.note_shape(_command.relation);
                -- What is altered on a parent is altered on its children, and only the parent is told of.
                if _difference is not null then
                    perform pgevents.note_shape(c.relid) from pgevents.children(_command.relation) c (relid);
                end if;
            end if;
        end if;
        insert into pgevents.event (kind, table_schema, table_name, query, ddl)
        values (
            'S', _command.schema_name, _command.object_identity, pgevents.ddl_query(),
            json_strip_nulls(json_build_object(
                'classid', _command.classid::bigint,
                'objid', _command.objid::bigint,
                'objsubid', _command.objsubid,
                'command_tag', _command.command_tag,
                'object_type', _command.object_type,
                'object_name', pgevents.object_name(_command.classid, _command.objid, _command.objsubid),
                'object_identity', _command.object_identity,
                'schema_name', _command.schema_name,
                'in_extension', _command.in_extension,
                'columns', _difference
            ))
        );
    end loop;

    perform pgevents.try_to_cover(t.relation, bool_or(t.related))
    from unnest(_tables, _related) t (relation, related)
    group by t.relation;
    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
exception when others then
    raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
        using hint = 'The command itself is not affected.';
end
$$;

CREATE FUNCTION pgevents.schema_dropped() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    _dropped record;
    _difference json;
begin
    if pgevents.is_building() then
        return;
    end if;
    for _dropped in
        select d.*
        from pg_event_trigger_dropped_objects() d
        where (d.original or d.normal)
          and not d.is_temporary
          and d.schema_name is distinct from 'pgevents'
          and d.object_identity is distinct from 'pgevents'
          and not (d.object_type = 'trigger' and d.object_identity like '"00\_pgevents\_%')
          and not (d.object_type = 'rule' and d.address_names[3] = '_RETURN') -- what makes a view a view
    loop
        _difference := null;
        if _dropped.classid = 'pg_class'::regclass and _dropped.objsubid = 0 then
            delete from pgevents.shape s
            where s.relation = _dropped.objid
            returning pgevents.column_difference(s.columns, '[]') into _difference;
        end if;
        if _dropped.object_type = 'trigger' then
            -- How a table is captured depends on its triggers.
            perform pgevents.try_to_cover(c.oid, true)
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = _dropped.address_names[1]
              and c.relname = _dropped.address_names[2]
              and c.relkind in ('r', 'p')
              and c.relpersistence <> 't';
        end if;
        insert into pgevents.event (kind, table_schema, table_name, query, ddl)
        values (
            'S', _dropped.schema_name, _dropped.object_identity, pgevents.ddl_query(),
            json_strip_nulls(json_build_object(
                'classid', _dropped.classid::bigint,
                'objid', _dropped.objid::bigint,
                'objsubid', _dropped.objsubid,
                'command_tag', tg_tag,
                'object_type', _dropped.object_type,
                'object_name', coalesce(_dropped.object_name, _dropped.address_names[array_upper(_dropped.address_names, 1)]),
                'object_identity', _dropped.object_identity,
                'schema_name', _dropped.schema_name,
                'original', _dropped.original,
                'normal', _dropped.normal,
                'is_temporary', _dropped.is_temporary,
                'columns', _difference
            ))
        );
    end loop;
    if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
        perform pg_notify('pgevents', '');
    end if;
exception when others then
    raise warning 'pg_events could not record %: % (%)', tg_tag, sqlerrm, sqlstate
        using hint = 'The command itself is not affected.';
end
$$;

CREATE FUNCTION pgevents.try_to_cover(relation oid, related boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform pgevents.cover(relation, related);
exception when others then
    raise warning 'pg_events could not cover %: % (%)', relation::regclass, sqlerrm, sqlstate
        using hint = 'The command itself is not affected. Run: pg_events build';
end
$$;

CREATE TABLE pgevents.consumer (
    name text NOT NULL,
    system_identifier text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');

CREATE SEQUENCE pgevents.event_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE pgevents.event (
    id bigint DEFAULT nextval('pgevents.event_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    statement_id bigint,
    kind "char" NOT NULL,
    table_schema text,
    table_name text,
    session_user_name text DEFAULT SESSION_USER,
    application_name text DEFAULT current_setting('application_name'::text),
    query text,
    old_data json,
    new_data json,
    ddl json
)
WITH (autovacuum_vacuum_insert_scale_factor='0.5', autovacuum_analyze_scale_factor='0.5', toast_tuple_target='4080');

CREATE TABLE pgevents.failed (
    consumer text NOT NULL,
    event_id bigint NOT NULL,
    payload text NOT NULL,
    attempts integer NOT NULL,
    error text NOT NULL,
    traceback text NOT NULL,
    failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    state text DEFAULT 'failed'::text NOT NULL,
    holds boolean DEFAULT false NOT NULL,
    slot integer DEFAULT 0 NOT NULL,
    row_key text DEFAULT ''::text NOT NULL,
    CONSTRAINT failed_state_check CHECK ((state = ANY (ARRAY['failed'::text, 'retry'::text, 'held'::text])))
);

CREATE TABLE pgevents.installed (
    name text NOT NULL,
    source text NOT NULL,
    definition text NOT NULL
);

CREATE TABLE pgevents.migration (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pgevents.row_key (
    consumer text NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    columns text[] NOT NULL
);

CREATE TABLE pgevents.worker (
    id bigint NOT NULL,
    consumer text NOT NULL,
    name text NOT NULL,
    backend_pid integer,
    backend_start timestamp with time zone,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lease_until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE VIEW pgevents.running_worker AS
 SELECT w.id,
    w.consumer,
    w.name,
    w.backend_pid,
    w.backend_start,
    w.started_at,
    w.lease_until
   FROM pgevents.worker w
  WHERE ((w.lease_until > clock_timestamp()) AND ((w.backend_pid IS NULL) OR (EXISTS ( SELECT
           FROM pg_stat_activity a
          WHERE ((a.pid = w.backend_pid) AND COALESCE((a.backend_start = w.backend_start), true))))));

CREATE TABLE pgevents.secret (
    key bytea NOT NULL
);

CREATE TABLE pgevents.setting (
    name text NOT NULL,
    value text NOT NULL
);

CREATE TABLE pgevents.shape (
    relation oid NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    columns json NOT NULL
);

CREATE TABLE pgevents.share (
    id bigint NOT NULL,
    consumer text NOT NULL,
    slots integer[] NOT NULL,
    snapshot pg_snapshot NOT NULL,
    window_end pg_snapshot,
    "position" bigint DEFAULT 0 NOT NULL,
    attempts jsonb DEFAULT '{}'::jsonb NOT NULL,
    interruptions integer DEFAULT 0 NOT NULL,
    worker bigint,
    delivered bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    saved_at timestamp with time zone
)
WITH (fillfactor='50');

ALTER TABLE pgevents.share ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgevents.share_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED SEQUENCE pgevents.sleeper
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;

CREATE TABLE pgevents.statement (
    id bigint DEFAULT nextval('pgevents.event_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    query text NOT NULL
);

ALTER TABLE pgevents.worker ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgevents.worker_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.item (
    id integer NOT NULL,
    v text
);

CREATE TABLE public.tree (
    k integer,
    v text
)
PARTITION BY LIST (k);

CREATE TABLE public.tree_1 (
    k integer,
    v text
);

ALTER TABLE ONLY public.tree ATTACH PARTITION public.tree_1 FOR VALUES IN (1);

INSERT INTO pgevents.installed VALUES ('row_expression', '2ccc75fb1548f61a', '4ed58bb4abb7ed4e816685b67b62ba3a');
INSERT INTO pgevents.installed VALUES ('capture', 'ac62169668e65231', 'c5c0062ed447d237fb826c704346e761');
INSERT INTO pgevents.installed VALUES ('capture_row', 'df16173f82a3a72f', '06f0762c06bd392435fd595b5f54a33a');
INSERT INTO pgevents.installed VALUES ('capture_truncate', '23161eeb2be39a98', 'fd8ebd751bb70c66dc76733f9cb3b69b');
INSERT INTO pgevents.installed VALUES ('coverage', '6716cdc0f7871aaf', '50349b5c9a5bbb7befdf857f3069c12f');
INSERT INTO pgevents.installed VALUES ('cover', 'b60d2db584b6e87f', 'cf42b4d7a99482600c270a681fd0b784');
INSERT INTO pgevents.installed VALUES ('current_columns', '1efce7ccaf814a3f', 'ce3780efb13de6e50b865383a8132d51');
INSERT INTO pgevents.installed VALUES ('column_difference', '43de3b16e8f71872', '153a94f03936a22a55928dc1ae03e6fa');
INSERT INTO pgevents.installed VALUES ('note_shape', '2a7019c7712c7a2e', '0c4216255c729845fd88cf858897e224');
INSERT INTO pgevents.installed VALUES ('ddl_query', '8c410c8ed0afa6af', '46538e8e7a4343b91559093b1c6a8b91');
INSERT INTO pgevents.installed VALUES ('object_name', '673356b0a93bdd78', '02696889f8a5bebe4b00a76f5e533e56');
INSERT INTO pgevents.installed VALUES ('children', '7b0b89433714ef12', '46b5d66498b67808b16c4540ec31972d');
INSERT INTO pgevents.installed VALUES ('is_building', '28a71aa3d7eaa5ca', '328f1bc1f7800e767ce2ebd1161429a6');
INSERT INTO pgevents.installed VALUES ('try_to_cover', '6e9015fc41169518', 'b32601a0497be9d7da384ceef6acb7ef');
INSERT INTO pgevents.installed VALUES ('schema_changed', '8cc484bd90774c75', 'bf1795198ea06cfab39e778b672a40aa');
INSERT INTO pgevents.installed VALUES ('schema_dropped', '59d42296651b5f53', '2427a0e12da1746764a00f9bbd521a46');
INSERT INTO pgevents.installed VALUES ('capture_chosen', '59c60a5ac9eabcd4', '0744cc12c9ad2423fc1adab25ba71002');
INSERT INTO pgevents.installed VALUES ('capture_insert', '9ddd207e9f24e7f6', 'e8e68c4bd2424b32e177ab8bf519856f');
INSERT INTO pgevents.installed VALUES ('capture_update', '62445c3bf9de9ddd', 'd951dbe86b5daef1e5feca50e17421c1');
INSERT INTO pgevents.installed VALUES ('capture_delete', '3c0c51ed4a1c5dc1', '23d2cf87e0cb7a630a1032a7b9cdae49');

INSERT INTO pgevents.migration VALUES (1, '0001_log', '2026-12-01 00:28:45.411527+00');
INSERT INTO pgevents.migration VALUES (2, '0002_options', '2026-12-01 00:28:45.411527+00');
INSERT INTO pgevents.migration VALUES (3, '0003_share', '2026-12-01 00:28:45.411527+00');

INSERT INTO pgevents.secret VALUES ('\xb46df49a1c64edfe70dc0892f449daa0f450c56be815c7426e00be0951213436');

INSERT INTO pgevents.setting VALUES ('include', '[]');
INSERT INTO pgevents.setting VALUES ('exclude', '[]');
INSERT INTO pgevents.setting VALUES ('choices', '{}');
INSERT INTO pgevents.setting VALUES ('query_characters', '8192');
INSERT INTO pgevents.setting VALUES ('wake_up', 'on');
INSERT INTO pgevents.setting VALUES ('system_identifier', '7714125729914487853');

INSERT INTO pgevents.shape VALUES (16636, 'public', 'item', '[{"number" : 1, "name" : "id", "type" : "integer", "not_null" : true}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');
INSERT INTO pgevents.shape VALUES (16643, 'public', 'tree', '[{"number" : 1, "name" : "k", "type" : "integer", "not_null" : false}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');
INSERT INTO pgevents.shape VALUES (16646, 'public', 'tree_1', '[{"number" : 1, "name" : "k", "type" : "integer", "not_null" : false}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');

SELECT pg_catalog.setval('pgevents.event_id', 1, false);

SELECT pg_catalog.setval('pgevents.share_id_seq', 1, false);

SELECT pg_catalog.setval('pgevents.sleeper', 0, true);

SELECT pg_catalog.setval('pgevents.worker_id_seq', 1, false);

ALTER TABLE ONLY pgevents.consumer
    ADD CONSTRAINT consumer_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.failed
    ADD CONSTRAINT failed_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY pgevents.installed
    ADD CONSTRAINT installed_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY pgevents.row_key
    ADD CONSTRAINT row_key_pkey PRIMARY KEY (consumer, table_schema, table_name);

ALTER TABLE ONLY pgevents.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.shape
    ADD CONSTRAINT shape_pkey PRIMARY KEY (relation);

ALTER TABLE ONLY pgevents.share
    ADD CONSTRAINT share_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgevents.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);

CREATE UNIQUE INDEX event_id_index ON pgevents.event USING btree (id);

CREATE INDEX event_xid ON pgevents.event USING btree (xid, id);

CREATE INDEX failed_waiting ON pgevents.failed USING btree (consumer, row_key, event_id) WHERE (holds OR (state <> 'failed'::text));

CREATE INDEX share_consumer ON pgevents.share USING btree (consumer);

CREATE INDEX statement_at ON pgevents.statement USING brin (at);

CREATE UNIQUE INDEX statement_id ON pgevents.statement USING btree (id);

CREATE INDEX worker_consumer ON pgevents.worker USING btree (consumer);

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.item REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_delete();

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.tree REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_delete();

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.tree_1 REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_delete();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.item REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_insert();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.tree REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_insert();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.tree_1 REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_insert();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.item FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.tree FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.tree_1 FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.item REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_update();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.tree REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_update();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.tree_1 REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_update();

ALTER TABLE ONLY pgevents.row_key
    ADD CONSTRAINT row_key_consumer_fkey FOREIGN KEY (consumer) REFERENCES pgevents.consumer(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY pgevents.share
    ADD CONSTRAINT share_consumer_fkey FOREIGN KEY (consumer) REFERENCES pgevents.consumer(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY pgevents.worker
    ADD CONSTRAINT worker_consumer_fkey FOREIGN KEY (consumer) REFERENCES pgevents.consumer(name) ON UPDATE CASCADE ON DELETE CASCADE;

CREATE EVENT TRIGGER pgevents_schema_changed ON ddl_command_end
   EXECUTE FUNCTION pgevents.schema_changed();

CREATE EVENT TRIGGER pgevents_schema_dropped ON sql_drop
   EXECUTE FUNCTION pgevents.schema_dropped();

