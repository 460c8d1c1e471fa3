"""The demonstration survey: a seeded mock of a VIPERS-like survey, written as a bundle.

Read `survey.write_mock` first; it hands the pointings of `geometry.layout` to `pointing.make_pointing`, which goes
from objects (`parent`) through slits (`masks`), light (`templates`) and detector (`instrument`) to what people
would have measured (`redshifts`). Every number is drawn from the seed and the pointing's number alone, so the result does not
depend on how many processes work on it. docs/demo-survey.md says what is real in it and what is not.
"""
