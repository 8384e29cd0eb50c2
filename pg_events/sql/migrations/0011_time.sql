-- The statement of a procedure that commits is the CALL, for all of its transactions: each has a time of its own. Otherwise
-- what a long CALL wrote is as old as its start, and retention by age deletes it at once.
alter table pgevents.event alter column at set default greatest(statement_timestamp(), transaction_timestamp());
alter table pgevents.statement alter column at set default greatest(statement_timestamp(), transaction_timestamp());
