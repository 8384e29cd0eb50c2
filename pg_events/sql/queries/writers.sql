-- Relation -> transactions that hold or want a lock on it with which a build's lock conflicts.
select l.relation::bigint, count(distinct l.pid)
from pg_catalog.pg_locks l
where l.locktype = 'relation'
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and l.pid <> pg_catalog.pg_backend_pid()
group by l.relation
