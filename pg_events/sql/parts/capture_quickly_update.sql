insert into pgevents.event (kind, table_schema, table_name, query, old_data, new_data)
select 'U', tg_table_schema, tg_table_name, _text, row_to_json(o.*), row_to_json(n.*)
from old_rows o, new_rows n
where not exists (select from new_rows offset 1)
  and pgevents.can_be_written();
if found then
    return null;
end if;
