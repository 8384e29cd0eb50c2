-- In coverage.sql: what the settings say of tables, in the words of LIKE.
glob as (
    select
        glob,
        position('.' in glob) > 0 as qualified,
        -- LIKE's own wildcards are letters in a glob; the glob's become LIKE's.
        replace(replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_') as pattern
    from (
        select unnest($1::text[])
        union
        select unnest($2::text[])
        union
        select unnest(array[t.key, x.value])
        from jsonb_each($4::jsonb) k
        cross join lateral jsonb_each(k.value) t
        cross join lateral jsonb_array_elements_text(t.value) x
    ) g (glob)
),
pattern as (
    select p.kind, g.qualified, g.pattern
    from (
        select 'include' as kind, unnest($1::text[]) as glob
        union all
        select 'exclude', unnest($2::text[])
    ) p
    join glob g using (glob)
)
