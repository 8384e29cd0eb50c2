-- The rows of a statement are folded: those in hand, how many they are, and the next change. In bytes: the widest of all.
_is_folded boolean := false;
_widest integer;
_old_rows text;
_new_rows text;
_folded smallint := 0;
_old text;
_new text;
