-- In coverage.sql, where nothing is chosen: the question is the shorter, and planned the sooner.
options as not materialized (
    select null::oid as oid, null::jsonb as options
    where false
)
