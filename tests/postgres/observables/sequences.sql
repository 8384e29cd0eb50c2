select last_drawn()

insert into item (v) values ('s1')

select lastval(), currval('item_id_seq')

insert into item (v) values ('s2'), ('s3') returning id = currval('item_id_seq')

select lastval()

update item set n = 9 where v = 's1'

select lastval()

insert into item (id, v) values (100000, 'own id')

select lastval()

insert into ruled values (1, 'rule')

select lastval(), currval('ruled_log_id_seq')

select nextval('counter')

delete from item where v like 's_'

select lastval()

insert into rich (real) values (1)

select lastval()

insert into people (v) values ('instead') returning id = lastval()

do $$ begin insert into item (v) values ('in a block'); perform lastval(); end $$

insert into parent (v) values ('p')

insert into child (parent_id) values (lastval())

delete from parent where id = (select max(parent_id) from child)

select lastval()

begin

insert into item (v) values ('gone')

select lastval()

rollback

select lastval(), setval('counter', 10), lastval()

truncate item restart identity

select lastval()

copy item (v) from stdin
c1
c2

select lastval()

select currval('tree_id_seq')

discard sequences

select last_drawn()

insert into item (v) values ('after')

select lastval()
