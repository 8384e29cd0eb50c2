-- A text's seal under a key: valid in this statement of this transaction, and nowhere else. The key stands outside, too:
-- without that, the seal of a text would lead to the seals of longer ones. No setting of the session may bear on any of it:
-- `extra_float_digits` would round the time, and not every text has a form in another encoding.
create or replace function pgevents.key_seal(key bytea, content text)
returns text
language sql
stable
return encode(
    sha256(key || sha256(key || timestamptz_send(statement_timestamp()) || convert_to(
        pg_current_xact_id()::text || ' ' || content, getdatabaseencoding()
    ))),
    'hex'
);
revoke execute on function pgevents.key_seal(bytea, text) from public;
