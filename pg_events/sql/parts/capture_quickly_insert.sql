insert into pgevents.event (kind, table_schema, table_name, query, new_data)
select 'I', tg_table_schema, tg_table_name, _text, row_to_json(n.*)
from new_rows n
-- Several are packed. To ask for it here costs half of what a statement of its own would.
where not exists (select from new_rows offset 1)
  and pgevents.can_be_written();
if found then
    return null;
end if;
