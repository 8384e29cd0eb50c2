-- The worker $1 ends: its shares are free at once.
with freed as (
    update pgevents.share
    set worker = null
    where worker = $1
)
delete from pgevents.worker
where id = $1
