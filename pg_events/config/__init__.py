"""Settings: read from a Python file, the command line and the environment, and validated."""
