-- Can this text be about a table of which columns are left out, masked or hashed? It can hold the very values then: such a
-- text is not kept. Asked of the text, because a command can be sent together with others that are yet to come.
create or replace function pgevents.is_private_text(content text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
declare
    _choices jsonb;
    _words text[];
begin
    select s.value::jsonb into _choices from pgevents.setting s where s.name = 'choices';
    if not found then
        -- Restored without its data: what is to be kept out is not known.
        return true;
    end if;
    if not coalesce(_choices ?| array['only', 'drop', 'mask', 'hash'], false) then
        return false;
    end if;
    -- A name in letters that have to be decoded.
    if content ~* '\mu&"' then
        return true;
    end if;
    _words := array(
        select distinct w.word
        from (
            select m.found[1] as name
            from regexp_matches(content, '[^\u0001-\u0023\u0025-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u007f]+', 'g') m (found)
            union
            select replace(m.found[1], '""', '"') from regexp_matches(content, '"((?:[^"]|"")+)"', 'g') m (found)
        ) n
        cross join lateral (values (left(n.name, 63)), (left(lower(n.name collate "C"), 63))) w (word)
    );
    return exists (
        select from pg_class c
        where c.relname = any (_words::name[])
          and pgevents.is_private(c.oid)
    ) or exists (
        -- A table that is yet to be made.
        select from jsonb_each(_choices) k
        cross join lateral jsonb_each(k.value) t
        cross join lateral jsonb_array_elements_text(t.value) c
        where k.key in ('only', 'drop', 'mask', 'hash')
          and exists (
              select from unnest(_words) w (word)
              where w.word like pgevents.glob_pattern(split_part(t.key, '.', -1))
          )
          and (
              k.key = 'only'
              or exists (select from unnest(_words) w (word) where w.word like pgevents.glob_pattern(c.value))
          )
    );
end
$function$;
revoke execute on function pgevents.is_private_text(text) from public;
