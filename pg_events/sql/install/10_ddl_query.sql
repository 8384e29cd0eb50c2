-- What the client sent, for the schema events of its statement: cut, without the secrets in it, and kept once however many
-- objects it makes. A long text goes to pgevents.statement. A setting says where it is, or what was left of it, and is believed
-- only when it bears our seal; nothing is looked up, so that concurrent serializable transactions do not meet here.
create or replace function pgevents.ddl_query(out statement_id bigint, out query text)
language plpgsql
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
declare
    _query_characters constant integer := {query_characters};
    _inline_characters constant integer := 1000;
    _seal_characters constant integer := 64;
    _marker text := current_setting('pgevents.ddl', true);
    _sent text;
    _told text;
begin
    if _query_characters = 0 then
        return;
    end if;
    if length(_marker) > _seal_characters then
        if left(_marker, _seal_characters) = pgevents.seal('ddl ' || substr(_marker, _seal_characters + 1)) then
            _marker := substr(_marker, _seal_characters + 1);
            if left(_marker, 1) = 's' then
                statement_id := substr(_marker, 2)::bigint;
            else
                query := nullif(substr(_marker, 2), '');
            end if;
            return;
        end if;
    end if;

    _sent := left(current_query(), _query_characters + 1);
    if length(_sent) > _query_characters then
        -- Of an address that was cut nobody can tell any more whether it has a password.
        _sent := regexp_replace(left(_sent, _query_characters), '://\S*$', '://***');
    end if;
    if not pgevents.is_private_text(_sent) then
        begin
            _told := left(pgevents.masked(_sent, 0), _query_characters);
        exception when others then
            raise warning 'pg_events left out the text of this command: % (%)', sqlerrm, sqlstate;
        end;
    end if;
    if length(_told) > _inline_characters then
        insert into pgevents.statement (query) values (_told) returning id into statement_id;
        _marker := 's' || statement_id;
    else
        query := nullif(_told, '');
        if query = _sent then
            -- A seal costs more than to look at a short text again.
            return;
        end if;
        _marker := 'q' || coalesce(_told, '');
    end if;
    perform set_config('pgevents.ddl', pgevents.seal('ddl ' || _marker) || _marker, true);
end
$function$;
revoke execute on function pgevents.ddl_query() from public;
