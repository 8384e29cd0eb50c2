"""Application: creates the parts of the console, connects them, and updates them ten times a second.

    ConsoleApp has Keyboard, CommandRunner, Palettes, Navigation, Memory, ConnectionReports (this package)
               and Notices, Database, Stream, Files, Replays (`services`)
    a screen   has the app as its `Host`, through which it sees the services and Navigation

`ConsoleApp` is the only class that inherits from Textual's `App`: it holds what Textual looks for there (bindings, actions, `on_*`)
and delegates to the parts.
"""
