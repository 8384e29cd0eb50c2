-- SQL text, read once by PostgreSQL's lexical rules, with the secrets in it replaced by ***. Whether a backslash in '...' is
-- a letter depends on a setting of the moment the text was sent: the caller says how it is read, see masked().
--
-- Masked are a literal behind a word such as PASSWORD; the value that something with such a name is given; every literal
-- of a command that makes a subscription, a server, a user mapping or a foreign data wrapper; and the same inside
-- literals and comments, which can hold a connection string, JSON or more SQL. Too much is masked rather than too little.
create or replace function pgevents.masked_part(content text, depth integer, has_escapes boolean)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
declare
    _secret constant text := '(?:pass|pwd|secret|_key|apikey|token|credential)';
    -- Words with what may be in them, white space, and every other character by itself.
    _lexemes text[] := array(
        select m.found[1]
        from regexp_matches(
            content, '[^\u0001-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u007f]+|[ \t\n\r\f\v]+|.', 'g'
        ) m (found)
    );
    _last constant integer := cardinality(_lexemes);
    _first integer;      -- lexeme of the token
    _next integer := 1;  -- and the one behind it
    _lexeme text;
    _kind text;          -- of the token: space, comment, literal, dollar, name, sign
    _prefix text;        -- of a literal or a name: e, u, or nothing
    _quote text;
    _tag text;
    _level integer;
    _begin integer;
    _gap text;
    _value text;         -- what the token says
    _raw text;           -- and how it was written
    _told text;          -- and is told
    _pieces text[] := '{}';
    -- What the tokens of this command mean for the next one.
    _is_named boolean := false;    -- the name of a secret is there
    _is_given boolean := false;    -- and it is about to be given a value
    _is_all boolean := false;      -- every literal is secret until the command ends
    _is_made boolean := false;     -- CREATE or ALTER
    _is_table boolean := false;
    _was_user boolean := false;
    _is_direct boolean := false;   -- the last token is that name
begin
    while _next <= _last loop
        _first := _next;
        _lexeme := _lexemes[_first];
        _next := _first + 1;
        _kind := 'sign';
        _prefix := '';
        _quote := null;
        _value := _lexeme;
        _raw := null;

        -- The token.
        if _lexeme ~ '^[ \t\n\r\f\v]' then
            _kind := 'space';
        elsif _lexeme = '-' and _lexemes[_next] = '-' then
            _kind := 'comment';
            while _next <= _last and _lexemes[_next] !~ '[\n\r]' loop
                _next := _next + 1;
            end loop;
        elsif _lexeme = '/' and _lexemes[_next] = '*' then
            _kind := 'comment';
            _level := 1;
            _next := _next + 1;
            while _next <= _last and _level > 0 loop
                if _lexemes[_next] = '*' and _lexemes[_next + 1] = '/' then
                    _level := _level - 1;
                    _next := _next + 1;
                elsif _lexemes[_next] = '/' and _lexemes[_next + 1] = '*' then
                    _level := _level + 1;
                    _next := _next + 1;
                end if;
                _next := _next + 1;
            end loop;
        elsif _lexeme = '$' and (_lexemes[_next] = '$' or _lexemes[_next] ~ '^[^0-9 -/]' and _lexemes[_next + 1] = '$') then
            _kind := 'dollar';
            _next := _next + case when _lexemes[_next] = '$' then 1 else 2 end;
            _tag := array_to_string(_lexemes[_first + 1:_next - 2], '');
            _begin := _next;
            while _next <= _last loop
                exit when _lexemes[_next] = '$'
                    and (_tag = '' and _lexemes[_next + 1] = '$' or _lexemes[_next + 1] = _tag and _lexemes[_next + 2] = '$');
                _next := _next + 1;
            end loop;
            _value := array_to_string(_lexemes[_begin:_next - 1], '');
            _next := _next + case when _tag = '' then 2 else 3 end;
            _tag := '$' || _tag || '$';
        elsif _lexeme in ('''', '"') then
            _quote := _lexeme;
        elsif _lexeme ~ '^\w|^[^\u0001-\u007f]' then
            if _lexeme in ('e', 'E', 'b', 'B', 'x', 'X', 'n', 'N') and _lexemes[_next] = '''' then
                _prefix := case when _lexeme in ('e', 'E') then 'e' else '' end;
                _quote := '''';
                _next := _next + 1;
            elsif _lexeme in ('u', 'U') and _lexemes[_next] = '&' and _lexemes[_next + 1] in ('''', '"') then
                _prefix := 'u';
                _quote := _lexemes[_next + 1];
                _next := _next + 2;
            else
                _kind := 'name';
                while _lexemes[_next] = '$' loop
                    _next := _next + case when _lexemes[_next + 1] ~ '^\w|^[^\u0001-\u007f]' then 2 else 1 end;
                end loop;
                _value := array_to_string(_lexemes[_first:_next - 1], '');
            end if;
        end if;

        if _quote is not null then
            _kind := case _quote when '"' then 'name' else 'literal' end;
            _value := '';
            _begin := _next;
            loop
                if _next > _last then
                    _value := _value || array_to_string(_lexemes[_begin:_last], '');
                    exit;
                elsif _lexemes[_next] = '\' and _quote = '''' and (_prefix = 'e' or _prefix = '' and has_escapes) then
                    _next := _next + 2;
                elsif _lexemes[_next] <> _quote then
                    _next := _next + 1;
                elsif _lexemes[_next + 1] = _quote then
                    _next := _next + 2;
                else
                    _value := _value || array_to_string(_lexemes[_begin:_next - 1], '');
                    -- Behind a newline it can go on.
                    _begin := _next + 1;
                    _gap := '';
                    while _quote = '''' and _begin <= _last loop
                        if _lexemes[_begin] ~ '^[ \t\n\r\f\v]' then
                            _gap := _gap || _lexemes[_begin];
                            _begin := _begin + 1;
                        elsif _lexemes[_begin] = '-' and _lexemes[_begin + 1] = '-' then
                            while _begin <= _last and _lexemes[_begin] !~ '[\n\r]' loop
                                _begin := _begin + 1;
                            end loop;
                        else
                            exit;
                        end if;
                    end loop;
                    _next := _next + 1;
                    exit when _quote = '"' or _gap !~ '[\n\r]' or _lexemes[_begin] is distinct from '''';
                    _begin := _begin + 1;
                    _next := _begin;
                end if;
            end loop;
            _value := replace(_value, _quote || _quote, _quote);
            if position('\' in _value) > 0 and (_prefix <> '' or has_escapes and _quote = '''') then
                _value := pgevents.unescaped(_value, _prefix = 'u');
            end if;
        end if;
        _next := least(_next, _last + 1);
        _raw := case when _next = _first + 1 then _lexeme else array_to_string(_lexemes[_first:_next - 1], '') end;

        -- What it is told as, and what it means for the next one.
        _told := _raw;
        if _kind = 'comment' then
            _value := rtrim(substr(_raw, 3), '*/');
            _told := left(_raw, 2) || pgevents.masked(_value, depth + 1) || substr(_raw, 3 + length(_value));
        elsif _kind in ('literal', 'dollar') then
            if _is_all or _is_named or _is_given then
                _told := '''***''';
                _is_named := false;
            else
                _told := pgevents.masked(_value, depth + 1);
                _told := case
                    when _told = _value then _raw
                    when _kind = 'dollar' then _tag || _told || _tag
                    else '''' || replace(_told, '''', '''''') || ''''
                end;
                _value := lower(_value collate "C");
                -- format('... password %L', ...), 'password=' || ...
                if _value ~ (_secret || '\w*[''"]?\s*[=:]?\s*[''"]?\s*(?:%|$)') and _value !~ '^\s*[\w.]+\s*$' then
                    _is_all := true;
                end if;
                _is_named := _value ~ ('^\s*[\w.]*' || _secret || '\w*\s*$');
            end if;
            _is_given := false;
        elsif _kind = 'name' then
            _value := lower(_value collate "C");
            if _quote is null then
                _is_made := _is_made or _value in ('create', 'alter');
                _is_table := _is_table or _value in ('table', 'import');
                _is_all := _is_all or _is_made and (
                    _value in ('subscription', 'wrapper')
                    or _value = 'server' and not _is_table
                    or _value = 'mapping' and _was_user
                );
                _was_user := _value = 'user';
            end if;
            _is_given := _is_given or _is_named and _quote is null and _value = 'to';
            -- Behind the name can come its type.
            _is_named := _value ~ _secret or _prefix = 'u'
                or _is_named and _value not in ('add', 'as', 'check', 'in', 'is', 'on', 'using', 'values', 'where', 'with');
            _is_direct := _value ~ _secret;
        elsif _lexeme = ';' then
            _is_named := false;
            _is_given := false;
            _is_all := false;
            _is_made := false;
            _is_table := false;
        elsif _lexeme in ('=', '>', ':', ',', '|') then
            _is_given := _is_named or _is_given and _lexeme <> ',';
            _is_named := false;
        elsif _kind = 'sign' and not (_lexeme = '(' and (_is_given or _is_direct)) then
            _is_named := false;
            _is_given := false;
        end if;
        if _kind not in ('space', 'comment', 'name') then
            _is_direct := false;
        end if;
        _pieces := _pieces || _told;
    end loop;

    _told := array_to_string(_pieces, '');
    -- A value without quotes.
    _told := regexp_replace(
        _told,
        '(' || _secret || '\w*\s*:?[=:]\s*)' || case
            when depth = 0 then '[\w.]+(?![\w.(])'
            else '(?:\\.|[^\s''"*,;()$\\])(?:\\.|\S)*'
        end,
        '\1***', 'gi'
    );
    if depth > 0 then
        -- No SQL, perhaps, but a sentence with an apostrophe, or JSON.
        _told := regexp_replace(
            _told,
            '(' || _secret || '\w*[''"]?\s*[=:,>(]*\s*)(?:''(?:[^''\\]|\\.|'''')*(?:''|$)|"(?:[^"\\]|\\.)*(?:"|$))',
            '\1***', 'gi'
        );
    end if;
    return regexp_replace(_told, '(://[^\s/@:]*:)' || case when depth = 0 then '[^\s''"]*@' else '\S*@' end, '\1***@', 'g');
end
$function$;
revoke execute on function pgevents.masked_part(text, integer, boolean) from public;
