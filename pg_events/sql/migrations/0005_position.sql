-- An id is a position in the write-ahead log.

-- `nextval` in a trigger changes what `lastval()` returns to the application. A record of its own in the write-ahead log
-- has a position that no other record has and that grows; nothing in the session changes. The function returns the first
-- of so many ids, all inside that record: it counts down from the record's end, and what is decoded from the log counts up
-- from the start of a change. A record has room for fifty ids; for more the message makes it longer.
-- Where an earlier log has higher ids than the server has positions, the distance is added.
do $do$
declare
    _base bigint;
begin
    select greatest(
        0,
        greatest(
            coalesce((select max(e.id) + 100 from pgevents.event e), 0),
            coalesce((select max(s.id) + 100 from pgevents.statement s), 0),
            coalesce((select max(f.event_id) + 100 from pgevents.failed f), 0)
        ) - (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
    )
    into _base;
    execute format(
        $format$
        create function pgevents.new_id(number_of_ids integer)
        returns bigint
        language sql
        volatile
        return (pg_logical_emit_message(false, 'pgevents'::text, repeat(' ', number_of_ids - 50)) - '0/0'::pg_lsn)::bigint
            - number_of_ids + %s::bigint
        $format$,
        _base
    );
end
$do$;
revoke execute on function pgevents.new_id(integer) from public;

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
