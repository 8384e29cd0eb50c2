-- The callback discarded the event: it has not failed, and is kept to be seen.
alter table pgevents.failed add column discarded boolean not null default false;

-- Since when no worker of the consumer delivers, and when the next call of a callback may begin under a rate limit.
alter table pgevents.consumer
    add column paused_at timestamptz,
    add column next_call_at timestamptz;
