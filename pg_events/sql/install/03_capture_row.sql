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
$function$;
revoke execute on function pgevents.capture_row() from public;
