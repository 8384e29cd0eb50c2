-- What is in the schema is for its owner, and for the roles that a build was told, each for what it was told. Everything
-- else goes: it came with default privileges, or by hand. An event trigger is not told what a GRANT is on: this one has to
-- say that it is ours.
set pgevents.building = on;
do $do$
declare
    _right record;
begin
    -- Twice: a right with grant option goes with it, and is given back without.
    for _turn in 1 .. 2 loop
        for _right in
            {rights}
        loop
            if _right.is_foreign then
                execute pg_catalog.format(
                    'revoke %s on %s from %s cascade', _right.privilege, _right.object,
                    case when _right.role = 'public' then 'public' else pg_catalog.quote_ident(_right.role) end
                );
            else
                execute pg_catalog.format('grant %s on %s to %I', _right.privilege, _right.object, _right.role);
            end if;
        end loop;
    end loop;
    -- The role of an earlier build, once it has no rights here any more.
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgevents_capture')
        and not pg_catalog.has_schema_privilege('pgevents_capture', 'pgevents', 'usage')
    then
        begin
            drop role pgevents_capture;
        exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then
            null; -- another database needs it, or it is not for this role to drop
        end;
    end if;
end
$do$;
reset pgevents.building;
