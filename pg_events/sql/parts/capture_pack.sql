-- One more change of the statement, _old and _new. The row of the log takes it as long as two such rows fit a page.
if _packed = 100
    or coalesce(octet_length(_old_rows), 0) + coalesce(octet_length(_old), 0)
        + coalesce(octet_length(_new_rows), 0) + coalesce(octet_length(_new), 0) > 3600
then
    {capture_write_packed}
    _packed := 0;
end if;
if _packed = 0 then
    _old_rows := _old;
    _new_rows := _new;
else
    _old_rows := _old_rows || E'\x1e' || _old;
    _new_rows := _new_rows || E'\x1e' || _new;
end if;
_packed := _packed + 1;
