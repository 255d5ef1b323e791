"""The command `orlop`: the only place for environment, terminal and exit codes."""
