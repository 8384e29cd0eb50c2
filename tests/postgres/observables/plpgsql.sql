select * from diagnose()

select * from more_diagnosis()

call in_pieces()

do $$
declare _found boolean;
begin
    truncate ruled;
    insert into ruled values (1, 'a');
    _found := found;
    raise notice 'after insert: %', _found;
    delete from ruled;
    raise notice 'after delete: %', found;
    delete from ruled;
    raise notice 'after nothing: %', found;
    merge into ruled using (values (1)) s (id) on false when not matched then insert values (s.id, 'm');
    raise notice 'after merge: %', found;
    execute 'truncate ruled';
    raise notice 'after truncate: %', found;
end $$

do $$
declare _state text; _message text; _detail text; _hint text; _context text; _constraint text; _table text;
begin
    insert into item (v, n) values ('too much', 5000);
exception when others then
    get stacked diagnostics _state = returned_sqlstate, _message = message_text, _detail = pg_exception_detail,
        _hint = pg_exception_hint, _context = pg_exception_context, _constraint = constraint_name, _table = table_name;
    raise notice '% / % / % / % / % / % / %', _state, _message, _detail, _hint, _context, _constraint, _table;
end $$

do $$
declare _context text;
begin
    insert into watched (v) values ('refuse');
exception when others then
    get stacked diagnostics _context = pg_exception_context;
    raise notice '%', _context;
end $$

do $$
declare _cursor refcursor := 'mine'; _id integer;
begin
    open _cursor for insert into item (v) values ('by a cursor') returning id;
exception when others then
    raise notice '% %', sqlstate, sqlerrm;
end $$

create temporary table seen (what text)

do $$
begin
    for n in 1..3 loop
        insert into seen select format('%s %s', n, count(*)) from item;
        insert into item (v) values ('loop ' || n);
    end loop;
end $$

select * from seen

drop table seen

delete from item
