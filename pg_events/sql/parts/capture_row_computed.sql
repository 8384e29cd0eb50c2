if tg_op <> 'INSERT' then
    execute 'select row_to_json(c.*) from (select ' || _columns || ' from (select ($1).*) r) c' into _old using old;
end if;
if tg_op <> 'DELETE' then
    execute 'select row_to_json(c.*) from (select ' || _columns || ' from (select ($1).*) r) c' into _new using new;
end if;
