-- Transactions that were prepared more than $1 seconds ago and neither committed nor rolled back, oldest first.
select
    p.gid,
    p.owner::text as role,
    p.database::text as database,
    extract(epoch from clock_timestamp() - p.prepared)::double precision as age_seconds
from pg_catalog.pg_prepared_xacts p
where p.prepared < clock_timestamp() - make_interval(secs => $1)
order by p.prepared
