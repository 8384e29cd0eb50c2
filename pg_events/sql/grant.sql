-- What a role needs to read. An event trigger is not told what a GRANT is on: this one has to say that it is ours.
set pgevents.building = on;
grant usage on schema pgevents to {role};
grant select on all tables in schema pgevents to {role};
-- What values are hashed with is not for readers: they could try out which value gives a hash. Its owner keeps it.
revoke all on pgevents.secret from {role};
do $do$
begin
    execute (
        select format('grant all on pgevents.secret to %s', c.relowner::regrole)
        from pg_catalog.pg_class c
        where c.oid = 'pgevents.secret'::regclass
    );
end
$do$;
reset pgevents.building;
