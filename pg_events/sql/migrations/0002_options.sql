-- What is captured can be chosen for each table.

-- The question of coverage.sql has one more part. It is installed anew by the build that runs this.
do $do$
begin
    if to_regprocedure('pgevents.coverage(text[], text[], oid[])') is not null then
        drop function pgevents.coverage(text[], text[], oid[]);
    end if;
end
$do$;

-- What values are hashed with, other in each database: without it nobody can try out which value gives a hash. Not for
-- readers of the log.
create table pgevents.secret (
    key bytea not null
);
insert into pgevents.secret (key) values (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
