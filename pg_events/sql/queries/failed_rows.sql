-- The rows of the consumer $1 whose later events wait.
select distinct f.row_key
from pgevents.failed f
where f.consumer = $1
  and f.holds
