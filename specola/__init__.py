"""The command line of Specola. :mod:`specola.cli` assembles it from the modules in :mod:`specola.commands`."""
