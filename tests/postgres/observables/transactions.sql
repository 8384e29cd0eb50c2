begin

update item set n = 1 where false

delete from parent where id < 0

insert into item (v) select 'x' where false

merge into item using (select 1 where false) s (id) on item.id = s.id when matched then delete

insert into item (v) values ('t1')

savepoint a

insert into item (v) values ('t2')

select pg_advisory_xact_lock(7), pg_try_advisory_lock(8)

rollback to a

declare c cursor for select id, v from item order by id for update

fetch 1 from c

update item set n = 4 where current of c

declare held scroll cursor with hold for select v from item order by id

move 1 in held

prepare write (text) as insert into item (v) values ($1)

execute write ('prepared')

create temporary table mine (a integer) on commit drop

insert into mine values (1), (2)

set local statement_timeout = '1min'

listen app

notify app, 'payload'

close c

commit

execute write ('prepared, too')

select * from held

fetch all from held

close held

deallocate write

select pg_advisory_unlock(8)

unlisten *

begin read only

insert into item (v) values ('read only')

rollback

begin isolation level serializable

update item set n = n + 1 where v = 't1'

commit

begin isolation level repeatable read

select count(*) from item

insert into item (v) values ('repeatable') returning v

delete from item where v = 'repeatable'

commit

begin

set constraints all deferred

insert into late_child (parent_id) values (-1)

commit

begin

insert into late_child (parent_id) values (-1)

set constraints all immediate

rollback

begin

truncate item

lock table parent in share mode

rollback

begin

insert into item (v) values ('chained')

commit and chain

insert into item (v) values ('chained, too')

rollback and chain

rollback

begin

select set_config('app.user', 'somebody', true)

update parent set v = 'z'

insert into item (v) values (current_setting('app.user'))

rollback

select current_setting('app.user', true)

create temporary table kept (id serial, v text)

insert into kept (v) values ('a'), ('b') returning *

update kept set v = 'c'

truncate kept

discard temporary

delete from item
