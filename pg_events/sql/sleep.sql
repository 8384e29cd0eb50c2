-- Ask the writers to wake this reader, for the next $1 microseconds; 0 takes it back.
select setval(
    'pgevents.sleeper',
    case when $1::bigint = 0 then 0 else (extract(epoch from clock_timestamp()) * 1000000)::bigint + $1::bigint end
)
