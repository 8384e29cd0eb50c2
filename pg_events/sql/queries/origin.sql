-- Whether the log is that of another database of this cluster, of which this one is a copy.
select exists (
    select from pgevents.setting s
    join pg_catalog.pg_database d on d.datname = current_database()
    where s.name = 'database_oid'
      and s.value <> d.oid::text
)
