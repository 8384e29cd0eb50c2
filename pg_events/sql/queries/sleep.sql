-- Ask the writers to wake this reader, for the next $1 seconds; 0 takes it back: then the sequence has no last value.
-- Nobody is asked while the cluster's queue of notifications fills, because somebody listens and does not end his
-- transaction: when it is full, every commit that notifies fails. To ask for its usage also clears what can be cleared.
select setval('pgevents.sleeper', asked.until, asked.until > 0)
from (
    select case
        when $1::double precision = 0 or pg_catalog.pg_notification_queue_usage() > 0.1 then 0
        else ceil(extract(epoch from clock_timestamp()) + $1::double precision)
    end::bigint as until
) asked
