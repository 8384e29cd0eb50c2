-- Save how far the share $1 of the worker $2 is. No row comes back when the worker no longer holds it.
update pgevents.share s
set snapshot = $3::pg_snapshot,
    window_end = $4::pg_snapshot,
    position = $5,
    attempts = $6::jsonb,
    interruptions = $7,
    delivered = s.delivered + $8,
    failed = s.failed + $9,
    saved_at = clock_timestamp()
where s.id = $1
  and s.worker = $2
returning s.id
