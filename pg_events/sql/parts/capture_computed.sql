-- The rows of the statement by `_columns`, a select list: the columns of other than PostgreSQL's own types as text, and the
-- virtual generated ones computed.
_rows := case
    when tg_op = 'INSERT' then format(
        'select ''I''::"char" as kind, null::json as old_data, row_to_json(n.*) as new_data '
        'from (select %s from new_rows) n', _columns)
    when tg_op = 'DELETE' then format(
        'select ''D''::"char" as kind, row_to_json(o.*) as old_data, null::json as new_data '
        'from (select %s from old_rows) o', _columns)
    when _unpaired then format(
        'select ''D''::"char" as kind, row_to_json(o.*) as old_data, null::json as new_data '
        'from (select %1$s from old_rows) o '
        'union all '
        'select ''I'', null, row_to_json(n.*) from (select %1$s from new_rows) n', _columns)
    when not _many then format(
        'select ''U''::"char" as kind, row_to_json(o.*) as old_data, row_to_json(n.*) as new_data '
        'from (select %1$s from old_rows) o, (select %1$s from new_rows) n', _columns)
    else format(
        'select ''U''::"char" as kind, o.data as old_data, n.data as new_data '
        'from (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from old_rows) r) o '
        'full join (select row_number() over () as number, row_to_json(r.*) as data from (select %1$s from new_rows) r) n '
        'using (number)', _columns)
end;
if _is_packed then
    for _old, _new in execute 'select r.old_data::text, r.new_data::text from (' || _rows || ') r' loop
        {capture_pack}
    end loop;
else
    execute
        'insert into pgevents.event (statement_id, table_schema, table_name, query, kind, old_data, new_data) '
        'select $1, $2, $3, $4, r.* from (' || _rows || ') r'
    using _statement_id, _table_schema, _table_name, _query;
end if;
