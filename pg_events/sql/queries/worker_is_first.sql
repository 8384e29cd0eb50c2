-- Is $1 the worker that has been running longest, of all consumers?
select not exists (select from pgevents.running_worker w where w.id < $1)
