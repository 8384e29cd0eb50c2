-- One client statement can fire this function thousands of times (a DO block, a cascade): its text is kept once. The
-- setting says where. Everybody can set it: it is believed when it has the seal of this very transaction and statement.
_marker := current_setting('pgevents.statement', true);
if _marker <> '' then
    if pgevents.seal(left(_marker, -65)) = right(_marker, 64) then
        _statement_id := split_part(_marker, ' ', 1)::bigint;
    end if;
end if;
