-- Does the table have a column whose values row_to_json() must not meet? It calls a cast to json where a type has one, with
-- the rights of this function's owner. Nobody but its owner can make a cast of a type: types of superusers and of our own
-- are trusted, and of all others the output function alone is called, see row_expression(). And a trigger is handed NULL
-- for virtual generated columns. Asked when a row is written, under the table's lock: what was found at the build may have
-- changed since. A snapshot from before the table was altered does not tell what the columns are: see is_outdated().
(current_setting('transaction_isolation') in ('repeatable read', 'serializable') and pgevents.is_outdated(tg_relid) or exists (
    select from pg_attribute a
    where a.attrelid = (select tg_relid)
      and a.attnum > 0
      and (
          a.attgenerated = 'v'
          or a.atttypid >= 16384 -- the first that is not PostgreSQL's own
          and not exists (
              select
              from pg_type t
              left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
              where t.oid = a.atttypid
                and (
                    t.typtype = 'd' and t.typbasetype < 16384
                    or coalesce(e.typtype, t.typtype) = any ('{e,b,r,m}')
                    and (
                        t.typowner = current_user::regrole
                        or (select r.rolsuper from pg_roles r where r.oid = t.typowner)
                    )
                )
          )
      )
))
