-- The rows that one statement changed are folded: up to a hundred of them stand in one row of the log.

-- `folded`: so many events stand in this row, with the ids from `id` on; null: it is one event. Their rows follow one
-- another in `old_rows` and `new_rows`, JSON objects with the letter U+001E between them, which no JSON can contain.
alter table pgevents.event
    add column folded smallint,
    add column old_rows text,
    add column new_rows text;

-- Room for a hundred ids behind each that is drawn.
alter sequence pgevents.event_id increment by 100;
do $do$
begin
    perform setval('pgevents.event_id', (s.last_value / 100 + 1) * 100, false) from pgevents.event_id s;
end
$do$;

-- The log for people: an event a row, with the text of its statement.
create view pgevents.log as
select
    l.id + coalesce(r.number - 1, 0) as id,
    l.xid,
    l.at,
    l.kind,
    l.table_schema,
    l.table_name,
    l.session_user_name,
    l.application_name,
    coalesce(l.query, s.query) as query,
    coalesce(l.old_data, r.old_row::json) as old_data,
    coalesce(l.new_data, r.new_row::json) as new_data,
    l.ddl
from pgevents.event l
left join rows from (
    string_to_table(l.old_rows, E'\x1e'),
    string_to_table(l.new_rows, E'\x1e')
) with ordinality r (old_row, new_row, number) on true
left join pgevents.statement s on s.id = l.statement_id;
