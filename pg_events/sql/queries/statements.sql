-- The SQL texts of statements that are kept apart from their events.
select id, query from pgevents.statement where id = any ($1::bigint[])
