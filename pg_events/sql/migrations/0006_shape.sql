-- The columns of tables are noted at each change and never looked at by what notes them: transactions that alter tables of
-- their own no longer meet. Readers tell what became of a table's columns.

-- They have other parameters or results, or are needed no more. Installed again by the build that runs this.
drop function if exists pgevents.coverage(text[], text[], oid[], jsonb);
drop function if exists pgevents.current_columns(oid);
drop function if exists pgevents.note_shape(oid);
drop function if exists pgevents.ddl_query();
drop function if exists pgevents.object_name(oid, oid, integer);

-- `id`: that of the event. A dropped table has no columns, []. The table stays, with what readers were granted.
alter table pgevents.shape
    drop constraint shape_pkey,
    drop column table_schema,
    drop column table_name,
    add column id bigint not null default 0;
alter table pgevents.shape alter column id drop default;
create index shape_relation_id on pgevents.shape (relation, id);

-- Replaced by the build that runs this; the view needs it by name.
create function pgevents.described(event_id bigint, ddl json)
returns json
language sql
stable
as 'select ddl';
do $do$
begin
    execute 'create or replace view pgevents.log as '
        || replace(pg_get_viewdef('pgevents.log'::regclass), 'l.ddl', 'pgevents.described(l.id, l.ddl) as ddl');
end
$do$;
