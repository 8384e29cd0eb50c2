-- What the scripts beside this file work on, made by its owner. Any role may read and write; statements are paragraphs.

create function drawn(sequence text) returns text language plpgsql as $$
begin
    return currval(sequence);
exception when others then
    return sqlstate || ' ' || sqlerrm;
end $$;

create function last_drawn() returns text language plpgsql as $$
begin
    return lastval();
exception when others then
    return sqlstate || ' ' || sqlerrm;
end $$;

create sequence counter;

create table item (id serial primary key, v text not null unique, n integer default 1 check (n < 1000));

insert into item (v) values ('first'), ('second');

create type level as enum ('low', 'high');

create type pair as (a integer, b text);

create domain amount as numeric check (value >= 0);

create table rich (
    id bigint generated always as identity primary key,
    at timestamptz,
    span interval,
    bytes bytea,
    real float8,
    price money,
    tags text[],
    doc jsonb,
    raw json,
    level level,
    amount amount,
    pair pair,
    range int4range,
    doubled integer generated always as (coalesce(upper(range), 0) * 2) stored
);

create table person (id serial primary key, email text, password text, v text);

create table parent (id serial primary key, v text);

create table child (id serial primary key, parent_id integer references parent on delete cascade on update cascade);

create table late_child (
    id serial primary key,
    parent_id integer references parent deferrable initially deferred
);

create table tree (id integer, v text, primary key (id)) partition by range (id);

create table low partition of tree for values from (0) to (10);

create table high partition of tree for values from (10) to (20);

create table base (id serial primary key, v text);

create table derived (w text) inherits (base);

create table watched (id serial primary key, v text);

create function shout() returns trigger language plpgsql as $$
begin
    if new.v = 'refuse' then
        raise exception 'refused %', new.id using errcode = 'P0123', hint = 'try another', detail = 'by ' || tg_name;
    elsif new.v = 'skip' then
        return null;
    end if;
    new.v := upper(new.v);
    return new;
end $$;

create function report() returns trigger language plpgsql as $$
declare
    _context text;
    _count integer;
begin
    get diagnostics _context = pg_context;
    if tg_level = 'STATEMENT' and tg_op = 'INSERT' then
        select count(*) into _count from written;
    end if;
    raise notice '% % % % depth % nargs % rows % found % in %',
        tg_name, tg_when, tg_level, tg_op, pg_trigger_depth(), tg_nargs, _count, found, _context;
    return null;
end $$;

create trigger shout before insert or update on watched for each row execute function shout();

create trigger report_row after insert or update or delete on watched for each row execute function report('a', 'b');

create trigger report_rows after insert on watched referencing new table as written
    for each statement execute function report();

create trigger report_statement after update or delete or truncate on watched
    for each statement execute function report();

create table secured (id serial primary key, v text);

alter table secured enable row level security;

alter table secured force row level security;

create policy mine on secured using (v <> 'hidden') with check (v <> 'forbidden');

create view items as select id, v, n from item where n < 500 with check option;

create view people as select id, v from person;

create function insert_person() returns trigger language plpgsql as $$
begin
    insert into person (v) values (new.v) returning id into new.id;
    return new;
end $$;

create trigger insert_person instead of insert on people for each row execute function insert_person();

create table ruled (id integer, v text);

create table ruled_log (id serial, v text);

create rule keep_log as on insert to ruled do also insert into ruled_log (v) values (new.v);

create function diagnose() returns setof text language plpgsql as $$
declare
    _count bigint;
    _id integer;
begin
    insert into item (v) select 'd' || n from generate_series(1, 3) n;
    get diagnostics _count = row_count;
    return next format('insert %s %s', found, _count);
    update item set n = 2 where v = 'nowhere';
    get diagnostics _count = row_count;
    return next format('update %s %s', found, _count);
    update item set n = 2 where v like 'd_' returning id into _id;
    get diagnostics _count = row_count;
    return next format('returning %s %s %s', found, _count, _id is null);
exception when too_many_rows then
    get diagnostics _count = row_count;
    return next format('%s %s %s', sqlerrm, found, _count);
end $$;

create function more_diagnosis() returns setof text language plpgsql as $$
declare
    _count bigint;
    _row record;
    _cursor refcursor;
begin
    execute 'insert into item (v) values ($1), ($2)' using 'e1', 'e2';
    get diagnostics _count = row_count;
    return next format('execute %s %s', found, _count);
    perform * from item where v like 'e_';
    return next format('perform %s', found);
    for _row in update item set n = n + 1 where v like 'e_' returning * loop
        return next format('loop %s %s', _row.v, found);
    end loop;
    get diagnostics _count = row_count;
    return next format('after the loop %s %s', found, _count);
    open _cursor for select * from item where v like 'e_' for update;
    fetch _cursor into _row;
    delete from item where current of _cursor;
    get diagnostics _count = row_count;
    return next format('current of %s %s', found, _count);
    close _cursor;
    delete from item where v like 'e_';
    get diagnostics _count = row_count;
    return next format('delete %s %s', found, _count);
    begin
        insert into item (v) values (null);
    exception when not_null_violation then
        return next format('%s %s', sqlerrm, found);
    end;
    return next format('lastval %s', lastval() = currval('item_id_seq'));
end $$;

create procedure in_pieces() language plpgsql as $$
begin
    for n in 1..3 loop
        insert into item (v) values ('piece ' || n);
        if n = 2 then rollback; else commit; end if;
    end loop;
end $$;

grant select, insert, update, delete, truncate on all tables in schema public to public;

grant usage on all sequences in schema public to public;

-- Statistics that one of two databases has could give the other's rows another order.
do $$
declare
    _table regclass;
begin
    for _table in select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop
        execute format('alter table %s set (autovacuum_enabled = off)', _table);
    end loop;
end $$;
