drop schema pgevents cascade;
-- A role that earlier builds made. It is the cluster's: another database may need it.
do $do$
begin
    drop role if exists pgevents_capture;
exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then
    null;
end
$do$;
