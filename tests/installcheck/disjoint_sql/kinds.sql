-- name: three updates of three rows
update t set v = v + 1 where id < 4

update t set v = v + 2 where id < 4

update t set v = v + 3 where id < 4

-- name: three updates of one row
update t set v = v + 1 where id = 1

update t set v = v + 1 where id = 2

update t set v = v + 1 where id = 3

-- name: bulk insert and delete
insert into t select n, 0, 'bulk' from generate_series(1001, 1200) n

delete from t where id > 1000

-- name: text of 1,000 characters
update t set v = v + 1 where id = 1 /* padding */

update t set v = v + 2 where id < 4 /* padding */

insert into t values (1000, 0, 'x') /* padding */

delete from t where id = 1000 /* padding */

-- name: cascades
insert into parent values (1), (2), (3)

insert into child select n, n % 3 + 1 from generate_series(1, 30) n

update parent set id = id + 10 where id > 1

delete from parent

-- name: row by row
update by_row set v = v + 1 where id < 4

update by_row set v = v + 2, note = 'a statement whose text is longer than what is kept in the row of the event itself' where id < 4

insert into by_row select n, 0, 'bulk' from generate_series(1001, 1100) n

delete from by_row where id > 1000

-- name: redacted columns
update redacted set v = v + 1 where id < 4

insert into redacted (v, note) select n, 'secret' from generate_series(1, 20) n

delete from redacted where id > 100

-- name: partitions
update tree set v = v + 1

update tree set id = id + 50 where id = 7 and not exists (select from tree where id = 57)

delete from tree where id = 99

insert into tree values (99, 0)

truncate high

insert into tree select n, 0 from generate_series(50, 99) n

-- name: upsert, merge and common table expressions
insert into t values (1, 0, 'x'), (2000, 0, 'x') on conflict (id) do update set v = t.v + 1

with gone as (delete from t where id = 2000 returning *) insert into t select id + 1, v, note from gone

merge into t using (values (1), (2001)) s (id) on t.id = s.id when matched and s.id > 1000 then delete
when matched then update set v = t.v + 1

-- name: tables made and dropped
create table made (id serial primary key, v text)

insert into made (v) select 'v' from generate_series(1, 10)

alter table made add column w integer

drop table made

create table made (id integer)

drop table made
