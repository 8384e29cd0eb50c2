-- What a literal with escapes says: E'...' and its like, or U&'...'. A character beyond ASCII that is written as an escape
-- becomes a question mark: no name of a secret has one.
create or replace function pgevents.unescaped(content text, is_unicode boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
    select string_agg(
        case
            when left(part, 1) <> '\' then part
            when code between 1 and 127 then chr(code)
            when code is not null then '?'
            else translate(right(part, -1), 'bfnrt', E'\b\f\n\r\t')
        end,
        '' order by number
    )
    from (
        select
            m.part[1] as part,
            m.number,
            case
                when is_unicode and m.part[1] ~ '^\\\+?[0-9a-fA-F]{4}'
                    then ('x' || lpad(translate(m.part[1], '\+', ''), 8, '0'))::bit(32)::integer
                when is_unicode then null
                when m.part[1] ~ '^\\[0-7]'
                    then (
                        select sum(d.digit::integer * (8 ^ (length(m.part[1]) - 1 - d.place))::integer)::integer
                        from string_to_table(right(m.part[1], -1), null) with ordinality d (digit, place)
                    )
                when m.part[1] ~ '^\\[xuU][0-9a-fA-F]'
                    then ('x' || lpad(substr(m.part[1], 3), 8, '0'))::bit(32)::integer
            end as code
        from regexp_matches(
            content,
            case
                when is_unicode then '[^\\]+|\\[0-9a-fA-F]{4}|\\\+[0-9a-fA-F]{6}|\\.|\\'
                else '[^\\]+|\\[0-7]{1,3}|\\x[0-9a-fA-F]{1,2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|\\'
            end,
            'g'
        ) with ordinality m (part, number)
    ) p
$function$;
revoke execute on function pgevents.unescaped(text, boolean) from public;
