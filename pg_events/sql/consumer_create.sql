-- Make a consumer that starts at the snapshot $2, or when that is null after everything that is visible now.
insert into pgevents.consumer (name, snapshot, system_identifier)
select $1, coalesce($2::pg_snapshot, pg_catalog.pg_current_snapshot()), c.system_identifier::text
from pg_catalog.pg_control_system() c
on conflict (name) do nothing
returning name
