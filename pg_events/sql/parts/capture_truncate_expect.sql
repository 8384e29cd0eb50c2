perform from pgevents.migration;
_expected := {capture_truncate_number} || _expected;
perform set_config('pgevents.truncated', pgevents.seal('truncate ' || _expected) || ' ' || _expected, true);
