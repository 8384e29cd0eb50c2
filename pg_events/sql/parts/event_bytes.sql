-- What the row e of the log takes, about: its values as they are stored, and 120 bytes for its row, the small columns and its
-- entries in the two indexes (measured).
120
    + coalesce(pg_catalog.pg_column_size(e.table_schema), 0)
    + coalesce(pg_catalog.pg_column_size(e.table_name), 0)
    + coalesce(pg_catalog.pg_column_size(e.session_user_name), 0)
    + coalesce(pg_catalog.pg_column_size(e.application_name), 0)
    + coalesce(pg_catalog.pg_column_size(e.query), 0)
    + coalesce(pg_catalog.pg_column_size(e.context), 0)
    + coalesce(pg_catalog.pg_column_size(e.old_data), 0)
    + coalesce(pg_catalog.pg_column_size(e.new_data), 0)
    + coalesce(pg_catalog.pg_column_size(e.old_rows), 0)
    + coalesce(pg_catalog.pg_column_size(e.new_rows), 0)
    + coalesce(pg_catalog.pg_column_size(e.ddl), 0)
