-- What a build of version 4 made outside the schema's dump: the role that its capture functions ran as, and its rights.
do $do$
begin
    if not exists (select from pg_roles where rolname = 'pgevents_capture') then
        create role pgevents_capture nologin;
    end if;
end
$do$;
grant usage, create on schema pgevents to pgevents_capture;
grant insert on pgevents.event to pgevents_capture;
grant insert, select (id, xid, at) on pgevents.statement to pgevents_capture;
grant select on pgevents.secret to pgevents_capture;
grant usage on sequence pgevents.event_id to pgevents_capture;
grant usage, update on sequence pgevents.sleeper to pgevents_capture;
set pgevents.building = on;
alter function pgevents.row_expression(oid) owner to pgevents_capture;
alter function pgevents.capture() owner to pgevents_capture;
alter function pgevents.capture_insert() owner to pgevents_capture;
alter function pgevents.capture_update() owner to pgevents_capture;
alter function pgevents.capture_delete() owner to pgevents_capture;
alter function pgevents.capture_row() owner to pgevents_capture;
alter function pgevents.capture_chosen() owner to pgevents_capture;
reset pgevents.building;
revoke create on schema pgevents from pgevents_capture;
