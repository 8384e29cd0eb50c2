-- Forget the consumer $1: its cursor, its failed events, and what it knew of rows. A running worker finds that out.
with dropped as (
    delete from pgevents.consumer
    where name = $1
    returning name
),
failed as (
    delete from pgevents.failed f
    using dropped d
    where f.consumer = d.name
)
select name from dropped
