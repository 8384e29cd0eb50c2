-- The schema is another database's now: its events are this one's, and those of a dump of the original are not.
do $rename$
declare
    _label text;
begin
    for _label in select e.enumlabel from pg_catalog.pg_enum e where e.enumtypid = 'pgevents.origin'::regtype loop
        execute pg_catalog.format(
            'alter type pgevents.origin rename value %L to %L',
            _label, pg_catalog.left(pg_catalog.gen_random_uuid()::text, 8)
        );
    end loop;
end
$rename$;
