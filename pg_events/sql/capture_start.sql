-- What is visible now, and the last event of the transaction that asks: where a capture begins.
select
    pg_catalog.pg_current_snapshot()::text,
    (
        select coalesce(max(e.id), 0)::text
        from pgevents.event e
        where e.xid = pg_catalog.pg_current_xact_id_if_assigned()
    )
