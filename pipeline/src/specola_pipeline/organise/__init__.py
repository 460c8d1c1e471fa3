"""What lies in a directory of raw frames, what belongs together, what is missing and what is odd; before any reduction.

:mod:`.scan` reads every file and says of each what it is, or why it is of no use; :mod:`.associate` groups frames and finds the
calibrations of each by the rules of its instrument; :mod:`.report` says it to people, to scripts, and as a tree of links.
Headers count, names never do. Nothing is moved, and nothing linked unless asked for.
"""

from specola_pipeline.organise.associate import Group, Match, Plan, plan
from specola_pipeline.organise.report import as_json, link, print_report
from specola_pipeline.organise.scan import Entry, Status, scan

__all__ = ["Entry", "Group", "Match", "Plan", "Status", "as_json", "link", "plan", "print_report", "scan"]
