-- The tables that subscriptions of this database write to, and who writes.
select
    r.srrelid as relation,
    string_agg(s.subname::text, ', ' order by s.subname) as subscriptions
from pg_catalog.pg_subscription_rel r
join pg_catalog.pg_subscription s on s.oid = r.srsubid
group by r.srrelid
