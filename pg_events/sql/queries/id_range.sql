-- The ids of the oldest and the newest event that are kept.
select
    coalesce((select min(e.id) from pgevents.event e), 0),
    coalesce((select e.id + coalesce(e.folded, 1) - 1 from pgevents.event e order by e.id desc limit 1), 0)
