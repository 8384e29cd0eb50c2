-- SQL text without the secrets in it. Which of two readings is right depends on a setting of the moment the text was sent,
-- which may have changed since: where they differ, only what comes before the difference is kept.
create or replace function pgevents.masked(content text, depth integer)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
declare
    _plain text;
    _escaped text;
    _least integer := 0;
    _most integer;
    _middle integer;
begin
    -- Nothing to look for, neither spelt out nor by escapes nor in two halves.
    if lower(content collate "C")
        !~ 'pass|pwd|secret|_key|apikey|token|credential|://|subscription|mapping|server|wrapper|\\|\mu&[''"]|''\s*(?:--|[\n\r]\s*'')'
    then
        return content;
    elsif depth > 4 then
        return '***';
    end if;
    _plain := pgevents.masked_part(content, depth, false);
    if position('\' in content) = 0 then
        return _plain;
    end if;
    _escaped := pgevents.masked_part(content, depth, true);
    if _plain = _escaped then
        return _plain;
    end if;
    _most := length(_plain);
    while _least < _most loop
        _middle := (_least + _most + 1) / 2;
        if left(_plain, _middle) = left(_escaped, _middle) then
            _least := _middle;
        else
            _most := _middle - 1;
        end if;
    end loop;
    return left(_plain, _least) || '***';
end
$function$;
revoke execute on function pgevents.masked(text, integer) from public;
