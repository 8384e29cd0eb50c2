insert into item (v) values ('e1'), ('e2')

insert into item (v) values ('e1')

insert into item (v) values ('e3'), ('e4'), ('e1')

insert into item (v) values (null)

insert into item (v, n) values ('e5', 1000)

update item set v = 'e1'

update item set n = 1 / (n - 1)

insert into child (parent_id) values (-5)

insert into rich (amount) values (-1)

insert into rich (id) values (1)

insert into rich (level) values ('middling')

insert into rich (real) values ('many')

insert into watched (v) values ('fine'), ('refuse')

insert into secured (v) values ('forbidden')

insert into nowhere values (1)

insert into item (w) values (1)

select * from item wher

update items set n = 900

begin

insert into item (v) values ('e6')

insert into item (v) values ('e6')

select 1

commit

begin

savepoint a

delete from item where v = 'e1'

insert into watched (v) values ('refuse')

rollback to a

insert into item (v) values ('e7') returning v

commit

do $$ begin insert into item (v) values ('e8'); raise exception 'enough' using errcode = 'P0042'; end $$

do $$ begin raise warning 'careful' using errcode = '01P42', detail = 'd', hint = 'h', column = 'c', table = 't'; end $$

insert into item (v) select 'cancelled' from pg_cancel_backend(pg_backend_pid()) c, pg_sleep(60) s

set row_security = off

insert into secured (v) values ('not secured')

reset row_security

delete from item
