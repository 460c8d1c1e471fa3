"""Readers: what the world has, made into bundles. One module a format.

Read `specola_bundle.survey` and `specola_bundle.build` first.

Each module has ``read(sources, target, survey, …) -> Report``, which writes a bundle and says what is in it. What
differs from survey to survey (names, rights, constant columns, mask bits, flag schemes) is data in
``inputs/<survey>/survey.toml``; a reader knows a file format and nothing of who uses it.
"""
