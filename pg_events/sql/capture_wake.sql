if to_timestamp(pg_sequence_last_value('pgevents.sleeper'::regclass)) > clock_timestamp() then
    perform pg_notify('pgevents', '');
end if;
