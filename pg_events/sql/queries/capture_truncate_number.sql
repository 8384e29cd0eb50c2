-- How many markers of a TRUNCATE this session made so far, or a number that grows with it. To read this table is what counts:
-- nothing else in a trigger does, no rollback takes it back, and no other transaction learns of it. By which plan is not ours to say.
(
    pg_stat_get_xact_numscans('pgevents.migration'::regclass)
    + pg_stat_get_xact_numscans('pgevents.migration_pkey'::regclass)
)
