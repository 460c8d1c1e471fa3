"""Forms of the account pages."""

from __future__ import annotations

from django import forms

__all__ = ["LIFETIMES", "TokenForm"]

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year"}
"""Days a token may be valid. None is valid for ever: what is forgotten must end by itself."""


class TokenForm(forms.Form):
    """A new token."""

    name = forms.CharField(max_length=100, help_text="What it is for, as in “TOPCAT on my laptop”.")
    days = forms.ChoiceField(choices=list(LIFETIMES.items()), initial="90", label="Valid for")
