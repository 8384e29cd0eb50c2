-- The commands that create the triggers of a table that was made just now, where the settings say nothing of any table.
-- Null: ask coverage(). The answer is the same; this is a short question for what most new tables are.
create or replace function pgevents.new_triggers(relation oid)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set standard_conforming_strings = on
set enable_seqscan = off
as $function$
begin
    return (
        select array(
            select format(
                'create trigger "00_pgevents_%1$s" after %1$s on %2$I.%3$I %4$s for each statement execute function pgevents.%5$I()',
                o.operation, n.nspname, c.relname, o.referencing,
                case when o.operation = 'truncate' then 'capture_truncate'
                     when p.is_plain then 'capture_' || o.operation
                     else 'capture' end
            )
            from (
                values
                    ('insert', 'referencing new table as new_rows'),
                    ('update', 'referencing old table as old_rows new table as new_rows'),
                    ('delete', 'referencing old table as old_rows'),
                    ('truncate', '')
            ) o (operation, referencing)
        )
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        cross join lateral (
            select
{is_plain}
                as is_plain
        ) p
        where c.oid = relation
          and c.relkind = 'r'
          and c.relpersistence <> 't'
          and not c.relispartition
          and not c.relhassubclass
          -- No foreign keys either: they are triggers, too.
          and not c.relhastriggers
          and n.nspname <> all ('{pgevents,information_schema,repack,squeeze}'::name[])
          and n.nspname not like 'pg\_%'
          and not exists (
              select from pg_depend d
              where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
          )
    );
end
$function$;
revoke execute on function pgevents.new_triggers(oid) from public;
