"""Django: the context of a request or a command in its events, `manage.py pg_events`, and a build after `migrate`.

INSTALLED_APPS = [..., "pg_events.contrib.django"]
MIDDLEWARE = [..., "pg_events.contrib.django.middleware.ContextMiddleware"]
"""
