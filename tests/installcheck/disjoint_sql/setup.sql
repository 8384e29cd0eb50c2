-- The tables of one client, in a schema of its own.
create table t (id integer primary key, v integer, note text);
insert into t select n, 0, 'note ' || n from generate_series(1, 100) n;
create table by_row (id integer primary key, v integer, note text);
insert into by_row select n, 0, 'note ' || n from generate_series(1, 100) n;
create table redacted (id serial primary key, v integer, note text);
insert into redacted (v, note) select 0, 'note ' || n from generate_series(1, 100) n;
create table parent (id integer primary key);
create table child (id integer primary key, parent_id integer references parent on delete cascade on update cascade);
create table tree (id integer primary key, v integer) partition by range (id);
create table low partition of tree for values from (0) to (50);
create table high partition of tree for values from (50) to (100);
insert into tree select n, 0 from generate_series(1, 99) n;
create sequence counter;
