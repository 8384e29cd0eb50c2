-- Give a consumer's cursor back, so that the next worker need not wait and nobody takes this one for running.
-- $1 name, $2 token. Nothing changes when another worker has the cursor.
update pgevents.consumer c
set holder = null,
    holder_pid = null,
    holder_since = null,
    lease_until = '-infinity'
where c.name = $1
  and c.token = $2
