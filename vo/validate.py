"""Validate XML documents against the schemas DaCHS brings along (VOResource and its extensions, OAI-PMH, VOSI, VOTable).

Run as ``python3 -m vo.validate FILE…`` under Debian's Python with GAVOSETTINGS set; nothing is fetched from the network.
Prints a line for each file that is not valid and ends with status 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gavo import api  # noqa: F401  (makes gavo.helpers importable)
from gavo.helpers import testtricks

__all__ = ["main"]


def main(paths: Sequence[str]) -> int:
    """Validate the files."""
    wrong = 0
    for path in paths:
        errors = testtricks.getXSDErrorsLXML(Path(path).read_bytes())
        if errors:
            wrong = 1
            sys.stdout.write(f"{path}: {errors}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
