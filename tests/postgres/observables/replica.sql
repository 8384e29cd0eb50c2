set session_replication_role = replica

insert into item (v) values ('replicated'), ('too') returning id, v

select lastval(), currval('item_id_seq')

update item set n = 3

insert into child (parent_id) values (-7) returning id = lastval()

insert into watched (v) values ('refuse') returning v

create table as_replica (id serial primary key, v text)

insert into as_replica (v) values ('a') returning *

truncate item

truncate tree

reset session_replication_role

insert into as_replica (v) values ('b')

select lastval()

drop table as_replica

delete from child

delete from watched
