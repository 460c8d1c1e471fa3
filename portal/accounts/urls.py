"""Addresses of the account pages, and of the gate, which nginx alone can reach."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from portal.accounts.gate import gate
from portal.accounts.views import Login, Password, account, revoke_token

urlpatterns = [
    path("login", Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("account", account, name="account"),
    path("account/password", Password.as_view(), name="password"),
    path("account/tokens/<slug:key>/revoke", revoke_token, name="token-revoke"),
    path("gate", gate, name="gate"),
]
