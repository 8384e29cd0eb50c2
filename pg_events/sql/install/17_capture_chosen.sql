-- Writes to the log what is chosen of a table that is not captured whole: columns left out, masked or hashed, rows that
-- meet a condition, updates that change something. For statement triggers and row triggers alike. The trigger's argument
-- says what is chosen, see coverage.sql; tables about which nothing is said have capture() and capture_row().
--
-- A condition is evaluated with the rights of this function's owner. So it meets values of PostgreSQL's own types only, see
-- row_expression(), and the build accepts none that names another schema than pg_catalog. One that cannot be evaluated
-- leaves nothing out.
create or replace function pgevents.capture_chosen()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- How values are spelt must not depend on who writes them, and a hash of theirs even less.
set bytea_output = 'hex'
set IntervalStyle = 'postgres'
set DateStyle = 'ISO'
set extra_float_digits = '1'
set TimeZone = 'UTC'
set lc_monetary = 'C'
set quote_all_identifiers = off
set standard_conforming_strings = on
set array_nulls = on
-- The planner would think it worth its while to plan the question about the options anew each time, for each row where
-- rows are captured one by one: half of all the time.
set plan_cache_mode = force_generic_plan
as $function$
#variable_conflict use_variable -- a table's columns may have any name
declare
    _options constant jsonb := tg_argv[0];
    _is_row constant boolean := tg_level = 'ROW';
    _chooses_columns constant boolean := _options ?| array['only', 'drop', 'mask', 'hash'];
    -- The client's text can hold the very values that are not to be kept.
    _query_characters constant integer := case when _chooses_columns then 0 else {query_characters} end;
    -- A statement's text goes into the row itself when it is short and belongs to one row.
    _inline_characters constant integer := case when tg_level = 'ROW' then 100 else 1000 end;
    _relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    _table_schema text := tg_table_schema;
    _table_name text := tg_table_name;
    _kinds "char"[] := array[left(tg_op, 1)::"char"];
    _kind "char";
    _number_of_rows bigint := 1;
    _old_source text := '(select ($1).*)';
    _new_source text := '(select ($2).*)';
    _number constant text := case when tg_level = 'ROW' then '1' else 'row_number() over ()' end;
    _is_foreign constant boolean := {capture_foreign};
    _computed boolean := false;
    _conditions text;
    _columns text;
    _shown text;
    _compared text;
    _from text;
    _keep boolean[];
    _has_key boolean;
    _marker text;
    _statement_id bigint;
    _query text;
    _is_kept_apart boolean := false;
    _written bigint := 0;
    _just_written bigint;
    _rows text;
    {capture_pack_variables}
    _first_lock bigint;
begin
    {capture_lock_first}
    if not _is_row then
        _old_source := 'old_rows';
        _new_source := 'new_rows';
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
        if _number_of_rows > 1 and cardinality(_kinds) = 1 then
            {capture_whether_packed}
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
        {capture_statement}
        if _statement_id is null then
            _query := current_query();
            {capture_cut}
            _is_kept_apart := _number_of_rows > 1 or length(_query) > _inline_characters;
            if _is_kept_apart then
                _statement_id := pgevents.new_id(1);
            end if;
        end if;
    end if;

    if not (_is_row or _is_foreign or _options ?| array['only', 'drop', 'mask', 'hash', 'when']) and _kinds = '{U}' then
        -- The usual case of a setting for all tables: updates that change nothing are left out, and that is all. No
        -- table can have a column `ctid`.
        -- `is not false`: what is strict would let the planner make an inner join of the full one, and a nested loop of that.
        _kind := 'U';
        if _is_packed then
            for _old, _new in
                select row_to_json(o.data)::text, row_to_json(n.data)::text
                from (select row_number() over () as number, ctid as data from old_rows ctid) o
                full join (select row_number() over () as number, ctid as data from new_rows ctid) n using (number)
                where (o.data *<> n.data) is not false
            loop
                {capture_pack}
                _written := _written + 1;
            end loop;
        else
            insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data)
            select
                _statement_id, 'U', _table_schema, _table_name, case when not _is_kept_apart then _query end,
                row_to_json(o.data), row_to_json(n.data)
            from (select row_number() over () as number, ctid as data from old_rows ctid) o
            full join (select row_number() over () as number, ctid as data from new_rows ctid) n using (number)
            where (o.data *<> n.data) is not false;
            get diagnostics _written = row_count;
        end if;
    else
        if _is_foreign then
            _computed := exists (
                select from pg_attribute a where a.attrelid = tg_relid and a.attgenerated = 'v' and not a.attisdropped
            );
            if _computed then
                -- A virtual generated column is computed by whoever reads it, and may fail then: here it must not fail the
                -- write. Tried first, and left out when it does.
                begin
                    _columns := pgevents.row_expression(tg_relid, true);
                    execute format(
                        'select count(row_to_json(c.*)) from (select %1$s from %2$s r union all select %1$s from %3$s r) c',
                        _columns,
                        case when tg_op = 'INSERT' then _new_source else _old_source end,
                        case when tg_op = 'DELETE' then _old_source else _new_source end
                    )
                    using old, new;
                exception when others then
                    raise log 'pg_events recorded a change of % without its virtual generated columns (%)',
                        tg_relid::regclass, sqlstate;
                    _computed := false;
                end;
            end if;
            _columns := pgevents.row_expression(tg_relid, _computed);
            _old_source := format('(select %s from %s r)', _columns, _old_source);
            _new_source := format('(select %s from %s r)', _columns, _new_source);
        end if;
        -- A condition is code. What runs is what a build was told: the argument only says which of it.
        if _options ? 'when' then
            select string_agg(E'(\n' || c.value || E'\n) is not false', ' and ') into _conditions
            from jsonb_array_elements_text(_options -> 'when') c
            where c.value in (
                select x.value
                from pgevents.setting s
                cross join lateral jsonb_each(s.value::jsonb -> 'when') t
                cross join lateral jsonb_array_elements_text(t.value) x
                where s.name = 'choices'
            );
        end if;
        if _options ? 'hash' then
            -- The key itself is no parameter of anything: with debug_print_plan everybody sees those of his session.
            _has_key := exists (select from pgevents.secret);
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
                    -- A database that was restored without the key has no hashes.
                    when bool_or(n.kind = 'hash') then case when _has_key then 'hash' else 'mask' end
                end as treatment
            from pg_attribute a
            left join named n on n.number = a.attnum or n.name = a.attname
            where a.attrelid = tg_relid
              and a.attnum > 0
              and not a.attisdropped
              and (a.attgenerated <> 'v' or _computed)
            group by a.attnum, a.attname
        )
        select
            string_agg(
                case t.treatment
                    when 'mask' then format('case when %1$s is distinct from null then text ''***'' end as %1$s', t.name)
                    when 'hash' then format(
                        'case when %1$s is distinct from null then left(encode(sha256('
                        '(select s.key from pgevents.secret s) || convert_to(format(''%%s'', %1$s), getdatabaseencoding())), ''hex''), 32) end as %1$s', t.name)
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
                when 'I' then format('(select %s as ctid, r.* from %s r) new', _number, _new_source)
                when 'D' then format('(select %s as ctid, r.* from %s r) old', _number, _old_source)
                else format(
                    '(select %s as ctid, r.* from %s r) old %s join (select %1$s as ctid, r.* from %4$s r) new using (ctid)',
                    _number, _old_source, case when not _is_row then 'full' end, _new_source
                )
            end;

            _keep := null;
            if _conditions is not null then
                begin
                    execute format(
                        'select array_agg(%s order by ctid) from %s %s',
                        _conditions,
                        _from,
                        case _kind
                            when 'I' then format('left join (select r.* from %s r where false) old on true', _new_source)
                            when 'D' then format('left join (select r.* from %s r where false) new on true', _old_source)
                        end
                    )
                    into _keep
                    using old, new;
                exception when others then
                    -- To leave a change out needs a reason, and this is none.
                    -- Nor does it say why: the message of an error can hold a value that is not to be kept.
                    raise log 'pg_events recorded all of this statement''s changes of %: its condition failed (%)',
                        tg_relid::regclass, sqlstate;
                    _keep := null;
                end;
                continue when not true = any (_keep);
            end if;

            -- xmin and xmax: other names that no column of a table can have.
            _rows := format(
                'select %s as old_data, %s as new_data from %s%s%s%s '
                'where ($3::boolean[] is null or ($3::boolean[])[ctid::integer])%s',
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
            );
            if _is_packed then
                for _old, _new in
                    execute 'select r.old_data::text, r.new_data::text from (' || _rows || ') r' using old, new, _keep
                loop
                    {capture_pack}
                    _written := _written + 1;
                end loop;
            else
                execute
                    'insert into pgevents.event (statement_id, kind, table_schema, table_name, query, old_data, new_data) '
                    'select $4, $5, $6, $7, $8, r.* from (' || _rows || ') r'
                using old, new, _keep, _statement_id, _kind, _table_schema, _table_name,
                    case when not _is_kept_apart then _query end;
                get diagnostics _just_written = row_count;
                _written := _written + _just_written;
            end if;
        end loop;
    end if;
    {capture_write_packed}

    if _written > 0 then
        if _is_kept_apart then
            insert into pgevents.statement (id, query) values (_statement_id, _query);
            _marker := _statement_id || ' 0';
            perform set_config('pgevents.statement', _marker || ' ' || pgevents.seal(_marker), true);
        end if;
        {capture_wake}
    end if;
    return null;
end
$function$;
revoke execute on function pgevents.capture_chosen() from public;
