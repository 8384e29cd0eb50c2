-- Reserve the next $2 seconds of the consumer $1 for calls; returns the seconds until they begin. A time that is too far
-- ahead, after the server's clock was set back, does not count.
update pgevents.consumer c
set next_call_at = greatest(
        least(coalesce(c.next_call_at, clock_timestamp()), clock_timestamp() + make_interval(secs => 64 * $2 + 1)),
        clock_timestamp()
    ) + make_interval(secs => $2)
where c.name = $1
returning extract(epoch from c.next_call_at - clock_timestamp())::double precision - $2 as wait
