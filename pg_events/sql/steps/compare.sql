    -- This release makes its schema, for comparison, under a name that is free for that long: the block is rolled back.
    begin
        begin
            alter event trigger pgevents_schema_changed disable;
            alter event trigger pgevents_schema_dropped disable;
        exception when undefined_object or insufficient_privilege then
            null;
        end;
        alter schema pgevents rename to pgevents_taken_over;
        execute {migrations};
        execute {functions};
        _wanted := array(select d.part from ({describe}) d);
        _functions := array(select d.signature from ({describe_functions}) d);
        raise exception using errcode = 'PGEVT';
    exception when sqlstate 'PGEVT' then
        null;
    end;
    select p.part into _part
    from (
        (select unnest(_found) except all select unnest(_wanted))
        union all
        (select unnest(_wanted) except all select unnest(_found))
    ) p (part)
    limit 1;
    if found then
        raise exception using message = pg_catalog.format(
            'the schema pgevents is not as this release makes it (%s); remedy: %s', pg_catalog.left(_part, 100), {remedy}
        );
    end if;
