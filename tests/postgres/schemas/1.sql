-- What build made at version 1 of the schema: pg_dump of a database with the tables item and tree.


CREATE SCHEMA pgevents;

CREATE FUNCTION pgevents.capture() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_variable -- a table's columns may have any name
begin
    if tg_nargs = 0
        -- How values are spelt must not depend on who writes them. SET clauses on this function would cost more than
        -- the rest of the condition, so the session's settings are looked at, and changed only when they differ.
        and current_setting('bytea_output') = 'hex'
        and current_setting('IntervalStyle') = 'postgres'
        and current_setting('DateStyle') like 'ISO%'
        and current_setting('extra_float_digits') collate "C" > '0'
        -- A short text can stand in each row.
        and (8192 = 0 or octet_length(current_query()) <= least(300, 8192))
        and pg_partition_root(tg_relid) is null
        -- Nobody waits to be woken.
        and pg_sequence_last_value('pgevents.sleeper'::regclass) = 0
    then
        if tg_op = 'INSERT' then
            insert into pgevents.event (kind, table_schema, table_name, query, new_data)
            select 'I', tg_table_schema, tg_table_name, case when 8192 > 0 then current_query() end, row_to_json(n.*)
            from new_rows n;
            return null;
        elsif tg_op = 'DELETE' then
            insert into pgevents.event (kind, table_schema, table_name, query, old_data)
            select 'D', tg_table_schema, tg_table_name, case when 8192 > 0 then current_query() end, row_to_json(o.*)
            from old_rows o;
            return null;
        elsif not exists (select from new_rows offset 1) then
            insert into pgevents.event (kind, table_schema, table_name, query, old_data, new_data)
            select 'U', tg_table_schema, tg_table_name, case when 8192 > 0 then current_query() end, row_to_json(o.*), row_to_json(n.*)
            from old_rows o, new_rows n;
            if found then
                return null;
            end if;
        end if;
    end if;

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
        elsif _awaited_until is distinct from 0 then
            -- Whoever slept is gone, or the server crashed and the sequence is new: back to the usual case.
            perform setval('pgevents.sleeper', 0);
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
    values ('T', tg_table_schema, tg_table_name, nullif(left(current_query(), _query_characters), ''))
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
            _relations
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

CREATE FUNCTION pgevents.coverage(include text[], exclude text[], relations oid[]) RETURNS TABLE(oid oid, table_schema text, table_name text, relation_kind text, root oid, by_row text, not_wanted text, operation text, trigger_name text, wanted text, installed text, disabled boolean)
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
        coalesce(pg_catalog.pg_partition_root(c.oid), c.oid) as root
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
      and c.relpersistence <> 't'
      and n.nspname <> 'pgevents'
      and n.nspname <> 'information_schema'
      and n.nspname not like 'pg\_%'
      and ($3::oid[] is null or c.oid = any ($3::oid[]))
),
pattern as (
    select
        kind,
        position('.' in glob) > 0 as qualified,
        -- LIKE's own wildcards are letters in a glob; the glob's become LIKE's.
        replace(replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_') as pattern
    from (
        select 'include' as kind, unnest($1::text[]) as glob
        union all
        select 'exclude', unnest($2::text[])
    ) p
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
                  and root_namespace.nspname || '.' || root_class.relname like p.pattern
            ) then 'belongs to an extension'
            when exists (
                select from pattern p
                where p.kind = 'exclude'
                  and case when p.qualified then root_namespace.nspname || '.' else '' end || root_class.relname like p.pattern
            ) then 'excluded by the settings'
            when exists (select from pattern p where p.kind = 'include') and not exists (
                select from pattern p
                where p.kind = 'include'
                  and case when p.qualified then root_namespace.nspname || '.' else '' end || root_class.relname like p.pattern
            ) then 'not among the tables to include'
        end as not_wanted
    from relation r
    join pg_catalog.pg_class root_class on root_class.oid = r.root
    join pg_catalog.pg_namespace root_namespace on root_namespace.oid = root_class.relnamespace
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
        -- PostgreSQL refuses writes that would collect a foreign table's rows for a statement trigger.
        select coalesce(pg_catalog.pg_partition_root(c.oid), c.oid), 'one of its partitions is a foreign table'
        from pg_catalog.pg_class c
        where c.relkind = 'f' and c.relispartition
    ) r
    order by root, reason
),
wanted as (
    select
        c.*,
        o.operation,
        '00_pgevents_' || o.operation as trigger_name,
        case
            when c.not_wanted is not null then null
            when o.operation <> 'truncate' and b.root is not null and c.relkind = 'p' then null
            else pg_catalog.format(
                'CREATE TRIGGER "00_pgevents_%s" AFTER %s ON %I.%I %sFOR EACH %s EXECUTE FUNCTION pgevents.%s(%s)',
                o.operation,
                upper(o.operation),
                c.nspname,
                c.relname,
                case when b.root is null then o.referencing else '' end,
                case when b.root is null or o.operation = 'truncate' then 'STATEMENT' else 'ROW' end,
                case when o.operation = 'truncate' then 'capture_truncate'
                     when b.root is null then 'capture' else 'capture_row' end,
                case when o.operation <> 'truncate' and exists (
                    select from pg_catalog.pg_attribute a
                    where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped
                ) then quote_literal('computed') else '' end
            )
        end as wanted,
        b.reason as by_row
    from chosen c
    left join by_row b on b.root = c.root
    cross join (
        values
            (1, 'insert', 'REFERENCING NEW TABLE AS new_rows '),
            (2, 'update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '),
            (3, 'delete', 'REFERENCING OLD TABLE AS old_rows '),
            (4, 'truncate', '')
    ) o (number, operation, referencing)
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
    snapshot pg_snapshot NOT NULL,
    window_end pg_snapshot,
    "position" bigint DEFAULT 0 NOT NULL,
    system_identifier text NOT NULL,
    token bigint DEFAULT 0 NOT NULL,
    holder text,
    holder_pid integer,
    holder_since timestamp with time zone,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    delivered bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    saved_at timestamp with time zone,
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
    failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
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
INSERT INTO pgevents.installed VALUES ('capture', '00b5e3d7a613379a', '6da5f96fa94fa7f565dbe18bb1301646');
INSERT INTO pgevents.installed VALUES ('capture_row', 'df16173f82a3a72f', '06f0762c06bd392435fd595b5f54a33a');
INSERT INTO pgevents.installed VALUES ('capture_truncate', '63596543f1c9ef3e', 'bafdf3f14377d88859ffd11aa4672cdd');
INSERT INTO pgevents.installed VALUES ('coverage', 'cbf71597b2301dec', 'f7c4543d233bbd79c3a94391b5f3c39c');
INSERT INTO pgevents.installed VALUES ('cover', '7a4a789cdfbbab69', '4f9129e69121fdcc16ab29c89733f4db');
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

INSERT INTO pgevents.migration VALUES (1, '0001_log', '2026-12-01 00:28:41.812108+00');

INSERT INTO pgevents.setting VALUES ('include', '[]');
INSERT INTO pgevents.setting VALUES ('exclude', '[]');
INSERT INTO pgevents.setting VALUES ('query_characters', '8192');
INSERT INTO pgevents.setting VALUES ('wake_up', 'on');
INSERT INTO pgevents.setting VALUES ('system_identifier', '7714125729914487853');

INSERT INTO pgevents.shape VALUES (16511, 'public', 'item', '[{"number" : 1, "name" : "id", "type" : "integer", "not_null" : true}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');
INSERT INTO pgevents.shape VALUES (16518, 'public', 'tree', '[{"number" : 1, "name" : "k", "type" : "integer", "not_null" : false}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');
INSERT INTO pgevents.shape VALUES (16521, 'public', 'tree_1', '[{"number" : 1, "name" : "k", "type" : "integer", "not_null" : false}, {"number" : 2, "name" : "v", "type" : "text", "not_null" : false}]');

SELECT pg_catalog.setval('pgevents.event_id', 1, false);

SELECT pg_catalog.setval('pgevents.sleeper', 0, true);

ALTER TABLE ONLY pgevents.consumer
    ADD CONSTRAINT consumer_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.failed
    ADD CONSTRAINT failed_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY pgevents.installed
    ADD CONSTRAINT installed_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY pgevents.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgevents.shape
    ADD CONSTRAINT shape_pkey PRIMARY KEY (relation);

ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);

CREATE UNIQUE INDEX event_id_index ON pgevents.event USING btree (id);

CREATE INDEX event_xid ON pgevents.event USING btree (xid, id);

CREATE INDEX statement_at ON pgevents.statement USING brin (at);

CREATE UNIQUE INDEX statement_id ON pgevents.statement USING btree (id);

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.item REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.tree REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_delete" AFTER DELETE ON public.tree_1 REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.item REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.tree REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_insert" AFTER INSERT ON public.tree_1 REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.item FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.tree FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_truncate" AFTER TRUNCATE ON public.tree_1 FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture_truncate();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.item REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.tree REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE TRIGGER "00_pgevents_update" AFTER UPDATE ON public.tree_1 REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pgevents.capture();

CREATE EVENT TRIGGER pgevents_schema_changed ON ddl_command_end
   EXECUTE FUNCTION pgevents.schema_changed();

CREATE EVENT TRIGGER pgevents_schema_dropped ON sql_drop
   EXECUTE FUNCTION pgevents.schema_dropped();

