-- What a dump holds of another log is not for this one. A whole dump, into an empty database, makes what stands here after the
-- data: an index, and constraints that were never validated. Where they are there before, the dump's rows are refused.

-- Two keys would fail every captured write.
delete from pgevents.secret s
where s.ctid <> (select min(o.ctid) from pgevents.secret o);
create unique index secret_one on pgevents.secret ((true));

-- The scripts of pg_dump and pg_restore have an empty search path, and pg_events never has. To ask costs a captured
-- statement some 4 microseconds.
alter table pgevents.event add constraint written_here check (current_setting('search_path') <> '') not valid;
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
