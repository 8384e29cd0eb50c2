-- The rows of the log with the last $1 events that are visible now, or fewer where they have more than $2 bytes, newest first; the
-- snapshot they are visible in, and the version of the schema that they are of.
select
    pg_catalog.pg_current_snapshot()::text,
    e.id,
    e.xid::text::bigint,
    to_json(e.at)::text,
    e.kind::text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    e.query,
    coalesce(e.old_rows, e.old_data::text),
    coalesce(e.new_rows, e.new_data::text),
    case when e.ddl is not null then pgevents.described(e.id, e.ddl) end,
    e.statement_id,
    e.folded,
    e.context,
    (select m.version from pgevents.migration m order by m.version desc limit 1)
from (values (1)) one
left join lateral (
    -- One row can be a hundred events: no more rows than are needed.
    select counted.*
    from (
        select
            newest.*,
            sum(coalesce(newest.folded, 1)) over (order by newest.id desc rows unbounded preceding)
                - coalesce(newest.folded, 1) as newer,
            sum(newest.bytes) over (order by newest.id desc rows unbounded preceding) - newest.bytes as newer_bytes
        from (
            select
                e.*,
                -- Known without reading a value that is stored elsewhere.
                coalesce(octet_length(e.old_data::text), 0) + coalesce(octet_length(e.new_data::text), 0) as bytes
            from pgevents.event e
            order by e.id desc
            limit $1
        ) newest
    ) counted
    where counted.newer < $1 and counted.newer_bytes < $2
    order by counted.id desc
) e on true
