-- The commands that create the triggers of a table that was made just now, where the settings say nothing of any table.
-- Null: ask coverage(). The answer is the same; these are short questions for what most new tables are. Locks the schema's name
-- where it may, see steps_to_cover().
create or replace function pgevents.new_triggers(relation oid)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
set enable_seqscan = off
as $function$
declare
    _table text;
    _is_plain boolean;
begin
    if has_table_privilege('pg_namespace', 'update') then
        perform from pg_namespace n
        where n.oid = (select c.relnamespace from pg_class c where c.oid = relation)
        for key share;
    end if;
    select
        format('%I.%I', n.nspname, c.relname),
        -- Most tables have columns of these types alone. Of others more has to be asked.
        not exists (
            select from pg_attribute a
            where a.attrelid = c.oid
              and a.attnum > 0
              and a.atttypid <> all ('{
                  bool,int2,int4,int8,numeric,text,varchar,bpchar,uuid,json,jsonb,date,time,timestamp,timestamptz
              }'::regtype[]::oid[])
        )
    into _table, _is_plain
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation
      and c.relkind = 'r'
      and c.relpersistence <> 't'
      and not c.relispartition
      and not c.relhassubclass
      and not exists (select from pg_inherits i where i.inhrelid = c.oid)
      -- No foreign keys either: they are triggers, too.
      and not c.relhastriggers
      and n.nspname <> all ('{pgevents,information_schema,repack,squeeze}'::name[])
      and n.nspname not like 'pg\_%'
      and not exists (
          select from pg_depend d
          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
      )
      and (
          select count(*) from pgevents.setting s
          where (s.name, s.value) in (('choices', '{}'), ('include', '[]'), ('exclude', '[]'))
      ) = 3;
    if _table is null then
        return null;
    elsif not _is_plain then
        _is_plain := (
            select
{is_plain}
            from pg_class c
            where c.oid = relation
        );
    end if;
    return array[
        'create trigger "00_pgevents_insert" after insert on ' || _table || ' referencing new table as new_rows'
            ' for each statement execute function pgevents.' || case when _is_plain then 'capture_insert()' else 'capture()' end,
        'create trigger "00_pgevents_update" after update on ' || _table || ' referencing old table as old_rows new table as new_rows'
            ' for each statement execute function pgevents.' || case when _is_plain then 'capture_update()' else 'capture()' end,
        'create trigger "00_pgevents_delete" after delete on ' || _table || ' referencing old table as old_rows'
            ' for each statement execute function pgevents.' || case when _is_plain then 'capture_delete()' else 'capture()' end,
        'create trigger "00_pgevents_truncate" after truncate on ' || _table
            || ' for each statement execute function pgevents.capture_truncate()'
    ];
end
$function$;
revoke execute on function pgevents.new_triggers(oid) from public;
