"""The installation: settings, database clusters, DaCHS roots, nginx, the supervisor and the doctor.

Read :mod:`ops.house` first: it says where everything is. :mod:`ops.raising` brings an installation up step by step.
"""
