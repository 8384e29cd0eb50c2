-- Save how far a consumer is, and run its lease on. No row comes back when another worker has the cursor.
update pgevents.consumer c
set snapshot = $3::pg_snapshot,
    window_end = $4::pg_snapshot,
    position = $5,
    delivered = c.delivered + $6,
    failed = c.failed + $7,
    saved_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => $8)
where c.name = $1
  and c.token = $2
returning c.token
