_expected := pg_stat_get_xact_tuples_inserted('pgevents.event'::regclass) || _expected;
perform set_config('pgevents.truncated', pgevents.seal('truncate ' || _expected) || ' ' || _expected, true);
