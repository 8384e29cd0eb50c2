-- A publication of all tables must not stop pruning, which deletes from here, too. Positions in the write-ahead log can come
-- again, and a sequence would change what lastval() tells the application: neither is a key.
alter table pgevents.shape add column key uuid not null default gen_random_uuid() primary key;
