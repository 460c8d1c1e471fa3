"""The health check."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

__all__ = ["health"]


@require_safe
def health(_: HttpRequest) -> HttpResponse:
    """Say that the portal answers and reaches its database; what is wrong otherwise stands in the log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("well\n", content_type="text/plain")
