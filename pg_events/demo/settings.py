"""The demo's settings, as a user would write them; the database is the embedded one."""

PG_EVENTS_DATA_UPDATE_CALLBACK = "pg_events.demo.callbacks.data_changed"
PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = "pg_events.demo.callbacks.schema_changed"
