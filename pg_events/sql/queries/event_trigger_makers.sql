-- Who made the event triggers of ours that are there, and whether this role may drop them.
select e.evtowner::regrole::text, pg_catalog.pg_has_role(e.evtowner, 'usage')
from pg_catalog.pg_event_trigger e
where e.evtname in ('pgevents_schema_changed', 'pgevents_schema_dropped')
