-- Tables, roots of partitions, that are captured row by row though no trigger of their own asks for it, nor inheritance: what
-- was the reason may just have been dropped. Where the settings ask for it, that is the reason.
create or replace function pgevents.perhaps_by_statement()
returns setof oid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set jit = off
-- Few of the triggers there are depend on these functions: they are found from there, in the order of the question. A plan is
-- kept while the catalog grows.
set join_collapse_limit = 1
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
as $function$
begin
    if exists (select from pgevents.setting s where s.name = 'choices' and s.value::jsonb ? 'by_row') then
        return;
    end if;
    return query
    select r.root
    from (
        select distinct coalesce(pg_partition_root(t.tgrelid), t.tgrelid)::oid as root
        from pg_proc f
        join pg_depend d on d.refclassid = 'pg_proc'::regclass and d.refobjid = f.oid
        join pg_trigger t on t.oid = d.objid and t.tgfoid = f.oid
        where f.pronamespace = 'pgevents'::regnamespace
          and f.proname in ('capture_row', 'capture_chosen')
          and t.tgtype & 1 = 1
          and t.tgname = '00_pgevents_insert'
    ) r
    where not exists (
        select from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where r.root in (i.inhrelid, i.inhparent)
          and not c.relispartition
    ) and not exists (
        select from (
            select r.root as relid
            union all
            select p.relid::oid from pg_partition_tree(r.root) p
        ) m
        join pg_trigger t on t.tgrelid = m.relid
        join pg_proc f on f.oid = t.tgfoid
        where not t.tgisinternal
          and f.pronamespace <> 'pgevents'::regnamespace
          and (t.tgtype & 1 = 1 or t.tgname::text collate "C" < '00_pgevents_')
          and t.tgenabled <> 'D'
    );
end
$function$;
revoke execute on function pgevents.perhaps_by_statement() from public;
