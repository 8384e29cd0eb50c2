create table made (id serial primary key, v text default 'x')

create table if not exists made (id integer)

create table made (id integer)

insert into made default values

select lastval(), currval('made_id_seq')

alter table made add column w integer not null default 5

alter table made add column if not exists w integer

alter table made alter column v set not null, add constraint short check (length(v) < 10)

insert into made (v, w) values ('y', 6), ('z', 7) returning *

alter table made rename column w to ww

alter table made rename to renamed

update renamed set ww = ww + 1 returning *

alter table renamed alter column ww type bigint

comment on table renamed is 'a comment'

create index by_v on renamed (v)

create index concurrently by_ww on renamed (ww)

create unique index if not exists by_v on renamed (v)

reindex table renamed

analyze renamed

vacuum renamed

create view seen as select * from renamed

create materialized view counted as select count(*) from renamed

refresh materialized view counted

drop table renamed

drop table renamed cascade

drop table if exists renamed

create table copied as select n, 'v' || n as v from generate_series(1, 4) n

create table copied_not as select 1 as a with no data

select n into chosen from generate_series(1, 2) n

insert into chosen values (3)

create table alike (like item including all)

insert into alike (v) values ('a')

create temporary table passing (id serial, v text)

insert into passing (v) values ('a') returning id

alter table passing add column w integer

drop table passing

begin

create table undone (id serial primary key)

insert into undone default values

alter table undone add column v text

update undone set v = 'a'

rollback

select * from undone

begin

create table done (id serial primary key, v text)

insert into done (v) values ('a'), ('b') returning id

alter table done set (fillfactor = 90)

alter table done alter column v set statistics 50

drop table copied_not

commit

begin

alter table done alter column v set statistics 60

commit

begin

create index on done (v)

commit

begin

analyze done

commit

begin

alter table done add constraint positive check (id > 0) not valid

commit

begin

alter table done validate constraint positive

rollback

begin

comment on column done.v is 'another'

grant select on done to public

commit

create table parted (k integer, v text) partition by list (k)

create table parted_1 partition of parted for values in (1)

create table parted_2 (k integer, v text)

alter table parted attach partition parted_2 for values in (2)

insert into parted values (1, 'a'), (2, 'b') returning tableoid::regclass, *

alter table parted detach partition parted_2

alter table parted detach partition parted_1 concurrently

create table heir () inherits (done)

insert into heir (v) values ('h') returning id

drop table done cascade

create schema nook

create table nook.item (id serial primary key)

insert into nook.item default values

alter table nook.item set schema public

drop schema nook cascade

create function nothing() returns trigger language plpgsql as 'begin return null; end'

create trigger nothing after insert on alike for each row execute function nothing()

insert into alike (v) values ('b') returning id

alter table alike disable trigger nothing

drop trigger nothing on alike

drop trigger if exists nothing on alike

drop function nothing()

create rule silent as on delete to alike do instead nothing

delete from alike

drop rule silent on alike

create type kind as enum ('a', 'b')

alter table alike add column kind kind

alter type kind add value 'c'

update alike set kind = 'c' returning kind

drop type kind

drop type kind cascade

create table full_of_types (d date, u uuid, x bytea, b bit(3), r int4range, o oid, e pair)

insert into full_of_types values ('2024-01-01', null, '\xff', b'101', '[1,2)', 1, row (1, 'a')) returning *

do $$ begin
    create table in_a_block (id serial primary key, v text);
    insert into in_a_block (v) values ('a');
    raise notice 'found %, lastval %', found, lastval();
    drop table in_a_block;
end $$

do $$ begin create table item (id integer); exception when duplicate_table then raise notice '%', sqlerrm; end $$

alter table item drop column nowhere

alter table item add column w text default nowhere()

create table broken (id integer references nowhere)

cluster alike using alike_pkey

truncate alike, chosen

drop table copied, chosen, alike, parted, parted_1, parted_2, full_of_types

drop table if exists item_of_old
