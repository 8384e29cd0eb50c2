insert into pgevents.event (kind, table_schema, table_name, query, old_data)
select 'D', tg_table_schema, tg_table_name, _text, row_to_json(o.*)
from old_rows o
where not exists (select from old_rows offset 1)
  and pgevents.can_be_written();
if found then
    return null;
end if;
