-- What runs inside the users' writes runs with next to no rights: the values of a row are turned to JSON by their types,
-- and a type's owner may have put a function of his own there. So it belongs to a role that can do nothing else.
-- installed.sql asks whether all this is as it should be: what is added here is added there.
set pgevents.building = on;
do $do$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'pgevents_capture') then
        begin
            create role pgevents_capture nologin;
        exception when duplicate_object or unique_violation then
            null; -- another database's build was faster
        end;
    end if;
    if not pg_catalog.pg_has_role('pgevents_capture', 'usage') then
        execute 'grant pgevents_capture to current_user'
            || case when current_setting('server_version_num')::integer >= 160000 then ' with inherit true, set true' else '' end;
    end if;
end
$do$;
grant usage, create on schema pgevents to pgevents_capture;
grant insert on pgevents.event to pgevents_capture;
grant insert, select (id, xid, at) on pgevents.statement to pgevents_capture;
grant select on pgevents.secret to pgevents_capture;
grant usage on sequence pgevents.event_id to pgevents_capture;
grant usage, update on sequence pgevents.sleeper to pgevents_capture;
alter function pgevents.row_expression(oid) owner to pgevents_capture;
alter function pgevents.capture() owner to pgevents_capture;
alter function pgevents.capture_insert() owner to pgevents_capture;
alter function pgevents.capture_update() owner to pgevents_capture;
alter function pgevents.capture_delete() owner to pgevents_capture;
alter function pgevents.capture_row() owner to pgevents_capture;
alter function pgevents.capture_chosen() owner to pgevents_capture;
revoke create on schema pgevents from pgevents_capture; -- it was needed to be given them
reset pgevents.building;
