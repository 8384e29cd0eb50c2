-- Several rows are packed, unless one of them is large: the loops that do it read fifty rows ahead.
if tg_op <> 'INSERT' then
    _widest := (select max(pg_column_size(o.*)) from old_rows o);
end if;
if tg_op <> 'DELETE' then
    _widest := greatest(_widest, (select max(pg_column_size(n.*)) from new_rows n));
end if;
_is_packed := _widest < 100000;
