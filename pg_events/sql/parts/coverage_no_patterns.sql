-- In coverage.sql, where the settings say nothing of any table: the question is the shorter, and answered the sooner.
pattern as not materialized (
    select null::text as kind, null::boolean as qualified, null::text as pattern
    where false
)
