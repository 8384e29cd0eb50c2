-- Kept events that are to be delivered, in their order: found without looking at all that wait.
create index failed_next on pgevents.failed (consumer, event_id) where state <> 'failed';
