-- A text's seal under a key: valid in this statement of this transaction, and nowhere else. The key stands outside, too:
-- without that, the seal of a text would lead to the seals of longer ones.
create or replace function pgevents.key_seal(key bytea, content text)
returns text
language sql
stable
return encode(
    sha256(key || sha256(key || convert_to(
        pg_current_xact_id()::text || ' ' || date_part('epoch', statement_timestamp())::text || ' ' || content, 'UTF8'
    ))),
    'hex'
);
revoke execute on function pgevents.key_seal(bytea, text) from public;
