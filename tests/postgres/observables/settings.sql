set datestyle = 'SQL, DMY'

set intervalstyle = 'iso_8601'

set bytea_output = 'escape'

set extra_float_digits = 0

set timezone = 'Asia/Kathmandu'

set app.user = 'somebody'

insert into rich (at, span, bytes, real, tags, doc, level, pair)
values ('01/02/2024 03:04:05', 'P1Y2D', 'a\\000', 0.1, '{x}', '{}', 'high', row (2, 'y')) returning *

update rich set real = real * 3 returning at, span, bytes, real

insert into item (v) values ('styled')

select current_setting('app.user'), current_setting('datestyle')

delete from rich

set search_path = ''

insert into public.item (v) values ('no path')

update public.item set n = 3 where v = 'no path' returning v

truncate public.ruled

set search_path = pg_catalog, public, pg_temp

insert into item (v) values ('another path')

reset search_path

set standard_conforming_strings = off

insert into item (v) values ('plain')

truncate tree

set quote_all_identifiers = on

insert into item (v) select 'quoted ' || n from generate_series(1, 3) n

select set_config('role', current_setting('app.owner'), false)

insert into item (v) values ('as the owner')

reset role

set default_transaction_isolation = 'serializable'

insert into item (v) values ('serializable by default')

set default_transaction_read_only = on

insert into item (v) values ('read only by default')

set client_min_messages = error

create table if not exists item (id integer)

reset all

set application_name = 'an application'

set plan_cache_mode = force_generic_plan

set jit = off

set work_mem = '64kB'

insert into item (v) select 'sorted ' || n from generate_series(1, 50) n order by n desc

set lock_timeout = '1s'

set idle_in_transaction_session_timeout = '1min'

begin

set transaction isolation level repeatable read

set local datestyle = 'German'

insert into rich (at) values ('01.02.2024') returning at

commit

select current_setting('datestyle')

insert into item (v) values ('before discarding')

discard all

insert into item (v) values ('after discarding')

discard plans

insert into item (v) values ('without plans')

delete from item
