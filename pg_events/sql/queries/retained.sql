-- The next events that are kept and may be asked for: ids above {after} up to {last}, visible in the snapshot. The last
-- column is the version of the schema that they are of.
-- The condition on xid is a function, so that the order comes from the index on id. What can be told of a row of the log, and
-- of its statement's text, is looked at once, before its events are unpacked; the order by keeps that so.
select
    e.id,
    e.xid::text::bigint,
    to_json(e.at)::text,
    e.kind::text,
    e.table_schema,
    e.table_name,
    e.session_user_name,
    e.application_name,
    e.query,
    e.old_data,
    e.new_data,
    case when e.ddl is not null then pgevents.described(e.id, e.ddl) end,
    e.statement_id,
    null::smallint,
    e.context,
    (select m.version from pgevents.migration m order by m.version desc limit 1)
from (
    select *
    from pgevents.event e
    where e.id > {after} - {max_packed}
      and e.id <= {last}
      and pg_catalog.pg_visible_in_snapshot(e.xid, {snapshot}::pg_snapshot)
      and {wanted_rows}
    order by e.id
) l
cross join {unpacked}
where e.id > {after}
  and e.id <= {last}
  and {wanted}
order by l.id, e.number
limit {events}
