-- A value as an expression whose JSON form calls no code of a type's owner: no cast, only output functions. format() is the
-- one function that takes any value as it is. A composite value becomes an object, an array of composite values an array of
-- objects; other values of other than PostgreSQL's own types are texts, arrays of them arrays of texts.
-- `inside` says that the value stands inside another one, whose type can be altered while this is read: there nothing is
-- taken for granted, and PostgreSQL's own types are read again from their text, where their JSON is no string.
create or replace function pgevents.value_expression(value text, type oid, inside boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    -- What JSON spells in its own way, and not as a string of the type's text.
    _spelt_otherwise constant name[] := '{bool,int2,int4,int8,float4,float8,numeric,json,jsonb,date,timestamp,timestamptz}';
    _type pg_type;
    _element pg_type;
begin
    select t.* into _type from pg_type t where t.oid = type;
    while _type.typtype = 'd' loop
        select t.* into _type from pg_type t where t.oid = _type.typbasetype;
    end loop;
    if _type.oid < 16384 then
        return case
            when not inside then value
            when array[_type.typname, (select t.typname from pg_type t where t.oid = _type.typelem)] && _spelt_otherwise
                then format(
                    'case when %1$s is distinct from null then format(''%%s'', %1$s)::%2$s end', value, format_type(_type.oid, -1)
                )
            when _type.typcategory = 'A' and _type.typdelim = ','
                then format('case when %1$s is distinct from null then format(''%%s'', %1$s)::text[] end', value)
            else format('case when %1$s is distinct from null then format(''%%s'', %1$s) end', value)
        end;
    end if;
    if _type.typcategory = 'A' and _type.typelem <> 0 then
        select t.* into _element from pg_type t where t.oid = _type.typelem;
        while _element.typtype = 'd' loop
            select t.* into _element from pg_type t where t.oid = _element.typbasetype;
        end loop;
        return case
            when _element.typtype = 'c' then format(
                'case when array_ndims(%1$s) > 1 then to_json(format(''%%s'', %1$s)) when %1$s is distinct from null then '
                'array_to_json(array(select %2$s from (select unnest(%1$s) as element) one)) end',
                value, pgevents.value_expression('one.element', _element.oid, true)
            )
            when _element.typdelim = ',' then format(
                'case when %1$s is distinct from null then format(''%%s'', %1$s)::text[] end', value
            )
            else format('case when %1$s is distinct from null then format(''%%s'', %1$s) end', value)
        end;
    end if;
    if _type.typtype = 'c' then
        return format(
            'case when %s is distinct from null then (select row_to_json(one.*) from (select %s) one) end',
            value,
            (
                select string_agg(
                    pgevents.value_expression(format('(%s).%I', value, a.attname), a.atttypid, true)
                        || ' as ' || quote_ident(a.attname),
                    ', ' order by a.attnum
                )
                from pg_attribute a
                where a.attrelid = _type.typrelid
                  and a.attnum > 0
                  and not a.attisdropped
            )
        );
    end if;
    return format('case when %1$s is distinct from null then format(''%%s'', %1$s) end', value);
end
$function$;
revoke execute on function pgevents.value_expression(text, oid, boolean) from public;
