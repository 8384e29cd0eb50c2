select
    p.oid,
    pg_catalog.format(
        '%s(%s) %s %s', p.proname, pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid), p.prokind
    ) as signature
from pg_catalog.pg_proc p
where p.pronamespace = 'pgevents'::regnamespace
