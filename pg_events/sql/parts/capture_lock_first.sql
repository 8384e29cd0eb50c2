-- What every writer locks first, and a build too: so a build that waits for it meets no writer that holds what it locks next.
_first_lock := pg_sequence_last_value('pgevents.sleeper'::regclass);
