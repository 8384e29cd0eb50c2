-- What is visible now, and the last event of the transaction that asks: where a capture begins.
-- It runs on a connection of the user's, along his search_path: every function, type and operator is qualified.
select
    pg_catalog.pg_current_snapshot()::pg_catalog.text,
    (
        select coalesce(pg_catalog.max(e.id), 0)::pg_catalog.text
        from pgevents.event e
        where e.xid operator(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned()
    )
