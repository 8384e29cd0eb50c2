-- Run the lease of the worker $1 on, for $2 seconds. No row comes back when it was taken for dead.
update pgevents.worker
set lease_until = clock_timestamp() + make_interval(secs => $2)
where id = $1
returning id
