-- The kept event $2 of the consumer $1 failed again: $3 attempts so far, $4 the error, $5 the traceback, $6 whether
-- later events of its row go on waiting, $7 whether the callback discarded it.
update pgevents.failed
set state = 'failed',
    discarded = $7,
    attempts = $3,
    error = $4,
    traceback = $5,
    holds = holds and $6,
    failed_at = clock_timestamp()
where consumer = $1
  and event_id = $2
