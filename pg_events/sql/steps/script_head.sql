-- Written by pg_events build --sql, for the database as it was then. Run it as the role that would build:
--
--     psql -v ON_ERROR_STOP=1 -f build.sql "$PG_EVENTS_DATABASE_URL"
--
{about}

\set ON_ERROR_STOP on
set search_path = pg_catalog, pg_temp;
set standard_conforming_strings = on;
set client_min_messages = warning;
