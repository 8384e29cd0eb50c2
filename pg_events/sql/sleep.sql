-- Ask the writers to wake this reader, for the next $1 seconds; 0 takes it back.
select setval(
    'pgevents.sleeper',
    case when $1::double precision = 0 then 0 else ceil(extract(epoch from clock_timestamp()) + $1::double precision) end::bigint
)
