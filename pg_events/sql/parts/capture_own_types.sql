-- Are all columns of PostgreSQL's own types, and none of them virtual? One that is not may still be fit to be written as it
-- is, see capture_foreign.sql: this asks less and answers sooner.
(not exists (
    select from pg_attribute a
    where a.attrelid = tg_relid
      and a.attnum > 0
      and (a.atttypid >= 16384 or a.attgenerated = 'v')
) and not (
    current_setting('transaction_isolation') in ('repeatable read', 'serializable') and pgevents.is_outdated(tg_relid)
))
