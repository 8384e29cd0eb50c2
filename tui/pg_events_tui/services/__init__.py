"""Services that all screens share: messages, the event stream, queries to the database, files and replays.

Each has the Textual app, of which it knows nothing but Textual, and those services that stand below it:

    Replays, Files -> Database -> Notices -> Clock
    Replays, Files -> Stream

The console (`app`) creates and owns them; a screen gets them from its `Host`.
"""
