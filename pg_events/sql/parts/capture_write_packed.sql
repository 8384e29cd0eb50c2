if _packed = 1 then
    insert into pgevents.event (statement_id, kind, table_schema, table_name, old_data, new_data)
    values (_statement_id, _kind, _table_schema, _table_name, _old_rows::json, _new_rows::json);
elsif _packed > 1 then
    insert into pgevents.event (id, statement_id, kind, table_schema, table_name, folded, old_rows, new_rows)
    values (pgevents.new_id(_packed), _statement_id, _kind, _table_schema, _table_name, _packed, _old_rows, _new_rows);
end if;
