-- Has a table, about which the settings say nothing, the triggers it should have? True when it had them before this command
-- and the command changed nothing they depend on: a short question for what most commands are. False means: ask coverage().
create or replace function pgevents.is_covered(relation oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
set enable_seqscan = off
as $function$
begin
    -- `age() <= 0`: touched by this transaction, or since it began.
    return (
        -- Statement triggers, all four. A table that is captured row by row can have lost the reason for it.
        select count(*) filter (
            where t.tgname = any ('{00_pgevents_insert,00_pgevents_update,00_pgevents_delete,00_pgevents_truncate}')
              and t.tgenabled = 'O'
              and t.tgtype & 1 = 0
        ) = 4
            and not coalesce(bool_or(age(t.xmin) <= 0), false)
        from pg_trigger t
        where t.tgrelid = relation
          and not t.tgisinternal
    ) and not exists (
        select from pg_constraint c
        where c.conrelid = relation
          and c.contype = 'f'
          and age(c.xmin) <= 0
    ) and not exists (
        -- A type that no other column has.
        select from pg_attribute a
        where a.attrelid = relation
          and a.attnum > 0
          and age(a.xmin) <= 0
          and not exists (
              select from pg_attribute b
              where b.attrelid = relation
                and b.attnum > 0
                and not b.attisdropped
                and b.atttypid = a.atttypid
                and b.attgenerated = a.attgenerated
                and age(b.xmin) > 0
          )
    );
end
$function$;
revoke execute on function pgevents.is_covered(oid) from public;
