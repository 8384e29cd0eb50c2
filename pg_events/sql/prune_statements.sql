-- Delete the texts of statements whose events went: a statement's events have its transaction and its time, so the
-- question is the same. $1 older than, $2 true to delete what a consumer has not been given, too.
delete from pgevents.statement s
where s.at < $1
  and (
      $2
      or coalesce(
          (select bool_and(pg_catalog.pg_visible_in_snapshot(s.xid, c.snapshot)) from pgevents.consumer c), true
      )
  )
