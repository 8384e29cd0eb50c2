"""Settings: the constants of a Python file, the command line and the environment, checked."""
