"""Run under Debian's Python: parses queries (a JSON list on stdin) with DaCHS' parser as it is and as vo/parsing.py has it.

Prints, for each of the two, a JSON list with the tree and the text of each query, or the error's type and message; and the
processor time of a query nested as deep as the archive allows.
"""

import json
import re
import sys
import time

from gavo import adql
from gavo.utils import parsetricks

from vo import parsing

NESTED = "SELECT " + "(" * 20 + "%d" + ")" * 20 + " FROM t"


def parse(query: str) -> list[str]:
    try:
        tree = adql.parseToTree(query)
        # a column without a name gets one from its address in memory
        return [re.sub(r"'derivedColumn', '[a-z]{10,}'", "'derivedColumn', '?'", repr(tree.asTree())), adql.flatten(tree)]
    except parsetricks.ParseBaseException as error:
        return [type(error).__name__, str(error)]
    except adql.Error as error:
        return [type(error).__name__, str(error)]


def seconds() -> float:
    """Processor time of the quickest of five: on a busy machine one alone may take several times that."""
    taken = []
    for number in range(5):
        begun = time.process_time()
        parse(NESTED % number)
        taken.append(time.process_time() - begun)
    return min(taken)


def main() -> None:
    queries = json.load(sys.stdin)
    before = [parse(query) for query in queries]
    stock = seconds()
    parsing.install()
    after = [parse(query) for query in queries]
    json.dump({"before": before, "after": after, "stock": stock, "ours": seconds()}, sys.stdout)


if __name__ == "__main__":
    main()
