-- Keep an event whose callback gave up.
insert into pgevents.failed as f (consumer, event_id, payload, attempts, error, traceback)
values ($1, $2, $3, $4, $5, $6)
on conflict (consumer, event_id) do update
set attempts = f.attempts + excluded.attempts,
    error = excluded.error,
    traceback = excluded.traceback,
    failed_at = excluded.failed_at
