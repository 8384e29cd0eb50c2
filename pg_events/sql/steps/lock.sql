-- Takes the lock of a table, and not those of its partitions.
lock table only {table} in {mode} mode;
