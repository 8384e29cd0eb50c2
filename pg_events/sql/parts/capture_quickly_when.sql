-- When a statement can be written to the log at once: its text is short and can stand in each row, the table is no
-- partition, which goes by its root's name, and nobody waits to be woken: then the sequence has no last value. Last of all
-- the table is named to can_be_written(). The sequence first: it is what every writer locks first, see capture_lock_first.sql.
pg_sequence_last_value('pgevents.sleeper'::regclass) is null
and ({query_characters} = 0 or octet_length(_text) <= least(300, {query_characters}))
and pg_partition_root(tg_relid) is null
and set_config('pgevents.relation', tg_relid::text, true) is not null
