-- In coverage.sql and in new_triggers(): no setting of the writer's changes how the values of this table, c, are spelt.
not exists (
    select from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    join pg_catalog.pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
    where a.attrelid = c.oid
      and a.attnum > 0
      and not a.attisdropped
      and (
          e.typtype <> 'e' and (e.typnamespace <> 'pg_catalog'::regnamespace or e.typname <> all ('{
              bool,int2,int4,int8,numeric,char,name,text,varchar,bpchar,uuid,json,jsonb,
              date,time,timestamp,timestamptz,inet,cidr,macaddr,macaddr8,bit,varbit
          }'::text[]))
      )
)
