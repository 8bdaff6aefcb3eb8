"""One module a command: `EPILOG`, `add_arguments(parser)` and `run(options) -> exit status`.

Only the module of the command that was given is imported, and what it needs is imported in `run`: rich and dnspython
take 60 ms each, and --help needs neither.
"""
