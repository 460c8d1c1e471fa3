"""One module a command or family of commands; each has ``register(app)``. :mod:`specola.cli` lists them."""
