lateral (
    -- The events e of the log's row l, in the order of `number`, with the columns that such a row has. Names are qualified:
    -- capture_end.sql, of which this is a part, runs on connections of the user's.
    select
        l.id, l.xid, l.at, l.statement_id, l.kind, l.table_schema, l.table_name, l.session_user_name, l.application_name,
        l.query, l.old_data, l.new_data, l.ddl, l.context, 0 as number
    where l.folded is null
    union all
    select
        l.id operator(pg_catalog.+) r.number operator(pg_catalog.-) 1, l.xid, l.at, l.statement_id, l.kind,
        l.table_schema, l.table_name, l.session_user_name, l.application_name, l.query, r.old_data, r.new_data, l.ddl, l.context, r.number
    from (
        -- The offset keeps a condition on a row from reading its text as JSON once for each time it is mentioned.
        select f.old_row::pg_catalog.json as old_data, f.new_row::pg_catalog.json as new_data, f.number
        from rows from (
            pg_catalog.string_to_table(
                -- Rows that are not as many as it says were written by no capture. No JSON, so that this fails, and who reads it
                -- takes the row apart by himself and says what is wrong with it.
                case
                    when l.kind operator(pg_catalog.<>) 'S'
                        and l.folded operator(pg_catalog.>=) 1::pg_catalog.int2
                        and l.folded operator(pg_catalog.<=) 100::pg_catalog.int2
                        and (l.old_rows is not null or l.new_rows is not null)
                        and (
                            l.folded operator(pg_catalog.-) 1 operator(pg_catalog.=) (
                                pg_catalog.length(l.old_rows)
                                operator(pg_catalog.-) pg_catalog.length(pg_catalog.replace(l.old_rows, pg_catalog.chr(30), ''))
                            )
                        ) is not false
                        and (
                            l.folded operator(pg_catalog.-) 1 operator(pg_catalog.=) (
                                pg_catalog.length(l.new_rows)
                                operator(pg_catalog.-) pg_catalog.length(pg_catalog.replace(l.new_rows, pg_catalog.chr(30), ''))
                            )
                        ) is not false
                    then l.old_rows
                    else '?'
                end,
                pg_catalog.chr(30)
            ),
            pg_catalog.string_to_table(l.new_rows, pg_catalog.chr(30))
        ) with ordinality f (old_row, new_row, number)
        offset 0
    ) r
    where l.folded is not null
) e
