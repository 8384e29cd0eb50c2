-- The rows of a statement are packed: those in hand, how many they are, and the next change. In bytes: the widest of all.
_is_packed boolean := false;
_widest integer;
_old_rows text;
_new_rows text;
_packed smallint := 0;
_old text;
_new text;
