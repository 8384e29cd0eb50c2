-- Understands a condition as capture_chosen() will, with rows of the table's type for `old` and `new`.
prepare pgevents_condition ({table}) as
select
from (select ($1).*) new
cross join (select ($1).*) old
where (
{condition}
) is not false
