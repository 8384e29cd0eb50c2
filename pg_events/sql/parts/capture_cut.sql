-- A text is cut at its end, unless that is a comment: frameworks say there who sends the statement (sqlcommenter).
if length(_query) > _query_characters then
    _query := case
        when rtrim(_query, E' \t\r\n;') like '%*/' then
            left(_query, greatest(0, _query_characters - least(1024, _query_characters / 2) - 5)) || ' ... '
                || right(_query, least(1024, _query_characters / 2))
        else left(_query, _query_characters)
    end;
end if;
