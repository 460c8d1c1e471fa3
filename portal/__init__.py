"""The team's site and survey database: Django, one application a concern.

Read first: :mod:`portal.settings` (made from :class:`ops.house.House`, nothing else), then :mod:`portal.accounts.permissions`,
the one place that says who may do what. ``portal.accounts`` has people, surveys, roles and tokens, and answers nginx's question
whether somebody may see the staging archive (:mod:`portal.accounts.gate`).
"""
