-- The first of so many new ids: positions in the write-ahead log.
--
-- `nextval` in a trigger changes what `lastval()` returns to the application. A record of its own in the write-ahead log has a
-- position that no other record has and that grows; nothing in the session changes. All ids lie inside that record, counted
-- down from its end: what is decoded from the log can count up from the start of a change. A record has room for fifty ids;
-- for more the message makes it longer. `id_base` is what an earlier log was ahead, and `id_room` the least number of ids that a
-- record has room for, where functions of an earlier release can still be running, see 0005_position.sql.
do $do$
declare
    _number constant text := coalesce(
        (
            select format('greatest(number_of_ids, %s)', least(greatest(s.value::numeric, 1), 1000)::integer)
            from pgevents.setting s
            where s.name = 'id_room'
        ),
        'number_of_ids'
    );
begin
    execute format(
        $format$
        create or replace function pgevents.new_id(number_of_ids integer)
        returns bigint
        language sql
        volatile
        return (
            pg_logical_emit_message(false, 'pgevents'::text, repeat(' ', %1$s - 50)) - '0/0'::pg_lsn
        )::bigint - %1$s + %2$s::bigint
        $format$,
        _number,
        coalesce(
            (select least(greatest(s.value::numeric, 0), 1e15)::bigint from pgevents.setting s where s.name = 'id_base'), 0
        )
    );
end
$do$;
revoke execute on function pgevents.new_id(integer) from public;
