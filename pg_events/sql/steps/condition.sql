-- Understands a condition as capture_chosen() will: with a row of the table for `old` and `new`, its columns all of
-- PostgreSQL's own types. Nothing but PostgreSQL's own code is met here, as there.
explain
select
from (select {rows}) new
cross join (select {rows}) old
where (
{condition}
) is not false
