"""Login, logout, and the page on which people see their roles and keep their password and tokens."""

from __future__ import annotations

import urllib.parse
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from portal.accounts.events import note
from portal.accounts.forms import TokenForm
from portal.accounts.models import ApiToken, LoginEvent
from portal.accounts.permissions import Action, surveys_for
from portal.accounts.staging import staged_releases

__all__ = ["Login", "Password", "account", "revoke_token"]

LOGINS_SHOWN = 20


class Login(LoginView):
    """The login page. It leads back to where somebody wanted to go: a page of the portal, or the staging archive."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def get_success_url_allowed_hosts(self) -> set[str]:
        """Hosts to which ``next`` may lead."""
        staging = urllib.parse.urlsplit(settings.HOUSE.archive("staging").url).netloc
        return {*super().get_success_url_allowed_hosts(), staging}

    def form_invalid(self, form: Any) -> HttpResponse:
        """Note who was refused."""
        note(self.request, LoginEvent.Way.FORM, LoginEvent.Outcome.REFUSED, form.data.get("username", ""), None)
        return super().form_invalid(form)


class Password(PasswordChangeView):
    """The page to change the password on; other sessions end with the old one."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it is done."""
        messages.success(self.request, "The password is changed.")
        return super().form_valid(form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Somebody's own page; a POST makes a token, whose text is in the answer and nowhere else."""
    user, now = request.user, timezone.now()
    token, text = None, ""
    form = TokenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        token, text = ApiToken.make(user, form.cleaned_data["name"], now + timedelta(days=int(form.cleaned_data["days"])))
        form = TokenForm()
    mine = set(surveys_for(user, Action.VIEW_STAGING).values_list("key", flat=True))
    return render(
        request,
        "accounts/account.html",
        {
            "form": form,
            "token": token,
            "text": text,
            "memberships": user.memberships.select_related("survey"),
            "tokens": user.tokens.filter(revoked=None, expires__gt=now),
            "events": user.logins.all()[:LOGINS_SHOWN],
            "staged": sorted(schema for schema, survey in staged_releases().items() if survey in mine or user.is_superuser),
        },
    )


@login_required
@require_POST
def revoke_token(request: HttpRequest, key: str) -> HttpResponse:
    """Make a token of one's own worthless."""
    token = get_object_or_404(ApiToken, user=request.user, key=key)
    token.revoke()
    messages.success(request, f"The token “{token.name}” is revoked.")
    return redirect("account")
