-- Take a consumer's cursor. Its holder keeps it while its lease runs and its connection lives; whoever takes it over
-- raises the token, and what the former holder would save with the old one changes nothing.
-- $1 name, $2 what to call the holder, $3 seconds of lease. One row with what was saved, or none: somebody has it.
update pgevents.consumer c
set token = c.token + 1,
    holder = $2,
    holder_pid = pg_catalog.pg_backend_pid(),
    holder_since = (select a.backend_start from pg_catalog.pg_stat_activity a where a.pid = pg_catalog.pg_backend_pid()),
    lease_until = clock_timestamp() + make_interval(secs => $3)
where c.name = $1
  and (
      c.lease_until < clock_timestamp()
      or not exists (
          select from pg_catalog.pg_stat_activity a
          where a.pid = c.holder_pid
            -- A role that is not shown when a connection began believes its number.
            and coalesce(a.backend_start = c.holder_since, true)
      )
      or c.holder_pid = pg_catalog.pg_backend_pid()
  )
returning c.token, c.snapshot::text, c.window_end::text, c.position
