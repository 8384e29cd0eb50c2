-- Keep an event that was not delivered: its callback gave up, or it waits behind an earlier event of its row.
insert into pgevents.failed as f
    (consumer, event_id, payload, attempts, error, traceback, state, holds, slot, row_key, discarded)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (consumer, event_id) do update
set attempts = excluded.attempts,
    error = excluded.error,
    traceback = excluded.traceback,
    state = excluded.state,
    holds = excluded.holds,
    discarded = excluded.discarded,
    failed_at = excluded.failed_at
