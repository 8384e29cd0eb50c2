-- Publications that send the log's tables, and how they come to.
select p.pubname::text as name, case when p.puballtables then 'all tables' else 'the schema pgevents' end as what
from pg_catalog.pg_publication p
where p.puballtables
   or exists (
       select from pg_catalog.pg_publication_namespace s
       join pg_catalog.pg_namespace n on n.oid = s.pnnspid
       where s.pnpubid = p.oid and n.nspname = 'pgevents'
   )
order by 1
