-- The kept event $2 of the consumer $1 was delivered. No row comes back, and nothing is forgotten, when the worker $4 no
-- longer holds the share $3. Nobody takes that before this is committed: what a callback wrote may go with it.
with held as (
    select s.id
    from pgevents.share s
    where s.id = $3
      and s.worker = $4
    for no key update
),
gone as (
    delete from pgevents.failed f
    using held
    where f.consumer = $1
      and f.event_id = $2
)
select id from held
