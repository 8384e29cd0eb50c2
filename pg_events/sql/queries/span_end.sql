-- The id of the {rows}th row of the log behind {after}, or of the last one; null when there is none. Ids are positions in the
-- write-ahead log: how far apart two rows are depends on all that was written between them.
select max(e.id)
from (select e.id from pgevents.event e where e.id > {after} order by e.id limit {rows}) e
