"""One module a command of ``specola-reduce``; each only parses arguments, reports progress, and calls the library."""
