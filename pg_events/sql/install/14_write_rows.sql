-- Writes the rows that came with a new table to the log, as an INSERT of them would be: no trigger was there to see them.
-- Columns are left out, masked and hashed as the table's triggers were told. Conditions are not asked.
create or replace function pgevents.write_rows(relation oid, statement_id bigint, query text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
set array_nulls = on
set bytea_output = 'hex'
set IntervalStyle = 'postgres'
set DateStyle = 'ISO'
set extra_float_digits = '1'
-- Others' commands must not be waited for long.
set lock_timeout = '200ms'
as $function$
declare
    _options jsonb;
    _is_covered boolean;
    _shown text;
    _schema text;
    _name text;
begin
    select
        true,
        case
            when t.tgnargs = 1 and f.proname = 'capture_chosen'
                then convert_from(rtrim(t.tgargs, '\x00'::bytea), getdatabaseencoding()::name)::jsonb
            else '{}'
        end
    into _is_covered, _options
    from pg_trigger t
    join pg_proc f on f.oid = t.tgfoid
    where t.tgrelid = relation
      and t.tgname = '00_pgevents_insert'
      and t.tgenabled in ('O', 'A');
    if _is_covered is not true then
        return;
    end if;

    with treated as (
        select
            a.attnum,
            quote_ident(a.attname) as name,
            a.atttypid,
            case
                when _options -> 'drop' ? a.attnum::text then 'drop'
                when _options ? 'only' and (_options -> 'only' ? a.attnum::text) is not true then 'drop'
                when _options -> 'mask' ? a.attnum::text then 'mask'
                -- A database that was restored without the key has no hashes.
                when _options -> 'hash' ? a.attnum::text
                    then case when exists (select from pgevents.secret) then 'hash' else 'mask' end
            end as treatment
        from pg_attribute a
        where a.attrelid = relation
          and a.attnum > 0
          and not a.attisdropped
    )
    select string_agg(
        case
            when t.treatment = 'mask' then format('case when %1$s is distinct from null then text ''***'' end as %1$s', t.name)
            when t.treatment = 'hash' then format(
                'case when %1$s is distinct from null then left(encode(sha256('
                '(select s.key from pgevents.secret s) || convert_to(format(''%%s'', %1$s), getdatabaseencoding())), ''hex''), 32) end as %1$s', t.name)
            when t.atttypid >= 16384 then pgevents.value_expression(t.name, t.atttypid, false) || ' as ' || t.name
            else t.name
        end,
        ', ' order by t.attnum
    )
    into _shown
    from treated t
    where t.treatment is distinct from 'drop';

    -- By its name, and the schema's owner can give the schema's name to another one meanwhile, with a view in it that calls
    -- what he likes. The lock keeps the schema from that; the command itself has locked the table.
    select n.nspname, c.relname into _schema, _name
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation
    for key share of n;
    execute format(
        'insert into pgevents.event (statement_id, kind, table_schema, table_name, query, new_data) '
        'select $1, ''I'', $3, $4, $2, row_to_json(r.*) from (select %s from only %I.%I) r',
        _shown, _schema, _name
    )
    using statement_id, query, _schema, _name;
end
$function$;
revoke execute on function pgevents.write_rows(oid, bigint, text) from public;
