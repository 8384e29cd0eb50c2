-- What the application says about its transaction: the setting `pgevents.context`. The default of a column costs less than an
-- expression of the capture functions, and holds for every way of capture. Nothing that is in the setting fails a write: no
-- JSON is expected, and a long text is cut.
alter table pgevents.event add column context text;
alter table pgevents.event
    alter column context set default left(nullif(current_setting('pgevents.context', true), ''), 4096);

create or replace view pgevents.log as
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
    pgevents.described(l.id, l.ddl) as ddl,
    l.context
from pgevents.event l
left join rows from (
    string_to_table(l.old_rows, E'\x1e'),
    string_to_table(l.new_rows, E'\x1e')
) with ordinality r (old_row, new_row, number) on true
left join pgevents.statement s on s.id = l.statement_id;
