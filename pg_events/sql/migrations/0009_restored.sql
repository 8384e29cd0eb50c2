-- What a dump holds of another log is not for this one. A whole dump, into an empty database, makes what stands here after the
-- data: an index, and constraints that were never validated. Where they are there before, the dump's rows are refused.

-- Two keys would fail every captured write.
delete from pgevents.secret s
where s.ctid <> (select min(o.ctid) from pgevents.secret o);
create unique index secret_one on pgevents.secret ((true));

-- Events must cost nothing to check. Each carries the only label of a type, which is another one in each log: that of any
-- other log is no value of the type. The rows of a dump must be refused, not its COPY: psql would run the lines of data as SQL.
do $do$
declare
    _label constant text := left(gen_random_uuid()::text, 8);
begin
    execute format('create type pgevents.origin as enum (%L)', _label);
    execute format('alter table pgevents.event add column origin pgevents.origin not null default %L', _label);
end
$do$;

-- The scripts of pg_dump and pg_restore have an empty search path, and pg_events never has. To ask costs a statement some 4
-- microseconds.
alter table pgevents.statement add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.consumer add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.failed add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.share add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.row_key add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.worker add constraint written_here check (current_setting('search_path') <> '') not valid;
alter table pgevents.shape add constraint written_here check (current_setting('search_path') <> '') not valid;

-- A dump sets sequences, even where its rows are refused: an id that another worker or share has already would come again.
-- A position in the write-ahead log grows by itself, see new_id.sql.
alter table pgevents.worker alter id drop identity if exists;
alter table pgevents.worker alter id
    set default (pg_logical_emit_message(false, 'pgevents worker'::text, ''::text) - '0/0'::pg_lsn)::bigint;
alter table pgevents.share alter id drop identity if exists;
alter table pgevents.share alter id
    set default (pg_logical_emit_message(false, 'pgevents share'::text, ''::text) - '0/0'::pg_lsn)::bigint;
