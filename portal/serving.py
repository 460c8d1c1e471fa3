"""How gunicorn serves the portal: settings by gunicorn's names, read with ``--config python:portal.serving``."""

from __future__ import annotations

from ops.house import House

_house = House.from_environment()

bind = f"unix:{_house.portal_socket}"
umask = 0o077
"""Of the socket: nginx runs under the same account, and nobody else may speak with Django past it."""
worker_class = "gthread"
workers = 2
"""One may be checking a password, a quarter of a second of a core, while the other answers."""
threads = 4
timeout = 120
graceful_timeout = 20
keepalive = 5
max_requests = 20000
max_requests_jitter = 2000
worker_tmp_dir = str(_house.var / "run")
control_socket_disable = True
accesslog = None
"""nginx has one."""
errorlog = "-"
forwarded_allow_ips = "*"
"""Who can reach the socket is nginx."""
