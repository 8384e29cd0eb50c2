-- An id is a position in the write-ahead log.

-- Where an earlier log has higher ids than the server has positions, the distance is added, see new_id.sql. That file makes
-- the function; the columns' defaults need it by name.
insert into pgevents.setting (name, value)
select
    'id_base',
    greatest(
        0,
        greatest(
            coalesce((select max(e.id) + 100 from pgevents.event e), 0),
            coalesce((select max(s.id) + 100 from pgevents.statement s), 0),
            coalesce((select max(f.event_id) + 100 from pgevents.failed f), 0)
        ) - (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
    )::text;
-- A statement that an earlier release's function is capturing now still writes packed rows, up to a hundred events, without
-- an id: the default value makes one, and the events after the first have the ids that follow. So one id takes that much room.
insert into pgevents.setting (name, value)
select 'id_room', '100'
where exists (select from pgevents.migration m where m.applied_at < now());
create function pgevents.new_id(number_of_ids integer) returns bigint language sql volatile return null::bigint;

alter table pgevents.event alter column id set default pgevents.new_id(1);
alter table pgevents.statement alter column id set default pgevents.new_id(1);
drop sequence pgevents.event_id;

-- Positions can come again: after a failover that lost some of the log, or where a dump was restored in another cluster.
-- That must not fail a write, so a transaction's id belongs to what is unique; and a publication of all tables must not
-- stop pruning, so that is the replica identity. To index a large log again would make writers wait: it keeps its indexes.
do $do$
begin
    if (select count(*) from (select from pgevents.event limit 20000) e) < 20000 then
        drop index pgevents.event_id_index;
        drop index pgevents.event_xid;
        create index event_id_index on pgevents.event (id);
        create unique index event_xid on pgevents.event (xid, id);
        alter table pgevents.event replica identity using index event_xid;
    else
        alter table pgevents.event replica identity using index event_id_index;
    end if;
    if (select count(*) from (select from pgevents.statement limit 20000) s) < 20000 then
        drop index pgevents.statement_id;
        create unique index statement_id on pgevents.statement (id, xid);
    end if;
    alter table pgevents.statement replica identity using index statement_id;
end
$do$;

-- The triggers compare it with the time: what is beyond any would fail every write.
alter sequence pgevents.sleeper maxvalue 253402300799;

-- It has one more parameter. Installed again by the build that runs this.
drop function if exists pgevents.row_expression(oid);
