insert into item (v) values ('one')

insert into item (v) values ('two'), ('three'), ('four') returning id, v, n

insert into item default values

insert into item (v) select 'bulk ' || n from generate_series(1, 300) n

insert into item (v) select 'none' where false

update item set n = 5 where v in ('one', 'two') returning id, n

update item set n = 5 where v = 'nowhere'

update item set n = n + 1 where v like 'bulk %'

update item set n = n where v = 'one' returning *

insert into item (v) values ('one') on conflict do nothing

insert into item (v) values ('one'), ('five') on conflict (v) do update set n = item.n + 10 returning id, v, n

insert into item (v) values ('one') on conflict (v) do update set n = 0 where item.n < 0

with d as (delete from item where v = 'five' returning *) insert into item (v, n) select v || '!', n from d returning v, n

with i as (insert into parent (v) values ('a') returning id), u as (update item set n = 7 where v = 'two' returning id)
insert into child (parent_id) select id from i

with i as (insert into item (v) values ('only read') returning v) select v, (select count(*) from item where v = 'only read') from i

update item set n = p.id from parent p where item.v = 'three' returning item.v

delete from item using parent p where item.v = 'four' and p.v = 'a'

delete from item where v like 'bulk %'

delete from item where false

merge into item using (values ('two', 1), ('six', 2)) s (v, n) on item.v = s.v
when matched then update set n = s.n
when not matched then insert (v, n) values (s.v, s.n)

merge into item using (values ('two'), ('seven')) s (v) on item.v = s.v
when matched then delete
when not matched and s.v = 'eight' then insert (v) values (s.v)
when not matched then do nothing

copy item (v, n) from stdin
copied	1
copied too	2

copy item (v, n) from stdin
copied	not a number

copy item (v, n) from stdin

copy (select v, n from item where v like 'copied%' order by id) to stdout

copy (update item set n = 3 where v like 'copied%' returning v, n) to stdout

insert into tree values (1, 'low'), (11, 'high'), (2, 'moves')

update tree set id = 12 where id = 2 returning tableoid::regclass, *

update tree set v = upper(v)

delete from tree where id = 1

insert into tree values (99, 'nowhere')

insert into base (v) values ('b')

insert into derived (v, w) values ('d', 'w')

update base set v = v || '!' returning tableoid::regclass, v

update only base set v = 'only'

insert into items (v, n) values ('through a view', 1) returning id, v

insert into items (v, n) values ('through a view, too', 700)

update items set n = 2 where v = 'through a view'

insert into people (v) values ('instead') returning v

insert into ruled values (1, 'a'), (2, 'b')

insert into person (email, password, v) values ('a@b.c', 'secret', 'x'), ('d@e.f', 'secret', 'y') returning *

update person set password = 'other' where v = 'x'

update person set v = 'left out' returning id, v

delete from person where v = 'left out'

insert into rich (at, span, bytes, real, price, tags, doc, raw, level, amount, pair, range)
values ('2024-05-06 07:08:09+00', '1 year 2 days', '\x00ff', 1.5, 12.5, '{a,"b c"}', '{"a": null}', '[1, 2]', 'low', 3.50,
    row (1, 'x'), '[1,5)')
returning *

update rich set level = 'high', amount = 4, pair.a = 2 returning level, amount, pair

insert into watched (v) values ('a'), ('b'), ('skip')

update watched set v = 'c' where v = 'A'

delete from watched where v = 'C' returning *

update watched set v = 'skip'

truncate watched

insert into secured (v) values ('seen') returning *

update secured set v = 'hidden'

delete from secured

insert into parent (v) values ('p'), ('q')

insert into child (parent_id) select id from parent

update parent set id = id + 1000 where v = 'p'

delete from parent where v in ('p', 'q')

truncate item

truncate item restart identity

truncate parent

truncate parent cascade

truncate tree, low
