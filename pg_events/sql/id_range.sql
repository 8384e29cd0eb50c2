-- The ids of the oldest and the newest event that are kept.
select coalesce(min(id), 0), coalesce(max(id), 0) from pgevents.event
