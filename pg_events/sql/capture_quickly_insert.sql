insert into pgevents.event (kind, table_schema, table_name, query, new_data)
select 'I', tg_table_schema, tg_table_name, _text, row_to_json(n.*)
from new_rows n;
return null;
