-- Every role can fill the queue of notifications, and a full one fails the commit: who sleeps then wakes up by himself.
if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('pgevents', '');
    end if;
end if;
