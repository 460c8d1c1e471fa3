"""Tables of people and what they are to each survey."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

__all__ = ["ApiToken", "LoginEvent", "Membership", "Role", "Survey", "User", "Workgroup"]

TOKEN_PREFIX = "specola"  # noqa: S105 - the beginning of every token, by which scanners find one that was published


def _choices(kind: type[StrEnum]) -> list[tuple[str, str]]:
    """Django's form of an enumeration, as plain text: a migration must not import today's code."""
    return [(one.value, one.value) for one in kind]


class User(AbstractUser):
    """A person who can log in. ``is_superuser`` is an administrator of the whole installation; roles are per survey.

    Accounts are disabled (``is_active``) and never deleted: measurements and decisions keep their author.
    """

    username = models.CharField(
        "user name",
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"\A[a-z][a-z0-9._-]*\Z", "A user name has small letters, digits, '.', '_' and '-' only.")],
        error_messages={"unique": "There is a user of this name already."},
    )
    """ASCII: it goes into HTTP headers, and no two of them look alike."""
    email = models.EmailField("e-mail address", blank=True)
    affiliation = models.CharField(max_length=200, blank=True)

    class Meta:
        """Shown by name."""

        ordering = ("username",)

    def __str__(self) -> str:
        return self.get_full_name() or str(self.username)


class Survey(models.Model):
    """A survey, called as in its bundles (``survey`` of bundle.json, ingest/bundle.schema.json)."""

    key = models.CharField(max_length=40, unique=True, validators=[RegexValidator(r"\A[a-z][a-z0-9_]*\Z")])
    name = models.CharField(max_length=200)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", through_fields=("survey", "user"), related_name="surveys"
    )

    class Meta:
        """Shown by key."""

        ordering = ("key",)

    def __str__(self) -> str:
        return str(self.name)


class Role(StrEnum):
    """What somebody is to a survey; what each may do is said in :mod:`portal.accounts.permissions`."""

    ADMIN = "admin"
    MANAGER = "manager"
    REDUCER = "reducer"
    MEASURER = "measurer"
    ARBITER = "arbiter"
    MEMBER = "member"


class Membership(models.Model):
    """One role of one person in one survey; somebody with two roles has two rows."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    survey = models.ForeignKey(Survey, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=_choices(Role))
    since = models.DateTimeField(default=timezone.now, editable=False)
    granted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        """A role once, and only one that is known."""

        ordering = ("survey", "user", "role")
        constraints = (
            models.UniqueConstraint(fields=["user", "survey", "role"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=[role.value for role in Role]), name="membership_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user.username}: {self.role} of {self.survey.key}"


class Workgroup(models.Model):
    """People of a survey who work on one subject."""

    survey = models.ForeignKey(Survey, on_delete=models.CASCADE, related_name="workgroups")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    members: models.ManyToManyField[User, Any] = models.ManyToManyField(User, related_name="workgroups", blank=True)

    class Meta:
        """Names are unique in a survey."""

        ordering = ("survey", "name")
        constraints = (models.UniqueConstraint(fields=["survey", "name"], name="workgroup_name_once"),)

    def __str__(self) -> str:
        return str(self.name)


class ApiToken(models.Model):
    """A token that stands for its owner in programs. Only its digest is kept: the text is shown once, when it is made.

    Its text is ``specola_KEY_SECRET``: 8 characters that find the row, and 192 random bits. Against those a plain SHA-256 is
    enough; a slow hash is for what people can remember.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    key = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    expires = models.DateTimeField(null=True, blank=True)
    revoked = models.DateTimeField(null=True, blank=True, editable=False)
    last_used = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        """The newest first."""

        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name} ({self.key})"

    @classmethod
    def make(cls, user: User, name: str, expires: datetime | None = None) -> tuple[ApiToken, str]:
        """Make a token; returns it and its text, which can not be had again."""
        key, secret = secrets.token_hex(4), secrets.token_hex(24)
        text = f"{TOKEN_PREFIX}_{key}_{secret}"
        token = cls.objects.create(user=user, name=name, key=key, digest=_digest(text), expires=expires)
        return token, text

    @classmethod
    def key_of(cls, text: str) -> str | None:
        """The key in a token's text; None for what is no token."""
        parts = text.split("_")
        return parts[1] if len(parts) == 3 and parts[0] == TOKEN_PREFIX and len(parts[1]) == 8 else None

    def matches(self, text: str) -> bool:
        """True for this token's text."""
        return hmac.compare_digest(str(self.digest), _digest(text))

    def is_valid(self, at: datetime) -> bool:
        """True when it was neither revoked nor has expired."""
        return self.revoked is None and (self.expires is None or self.expires > at)

    def revoke(self) -> None:
        """Make it worthless, from now on."""
        self.revoked = timezone.now()
        self.save(update_fields=["revoked"])


class LoginEvent(models.Model):
    """Somebody came in, or tried to. What was typed as a password is nowhere."""

    class Way(StrEnum):
        """How."""

        FORM = "form"
        BASIC = "basic"
        TOKEN = "token"  # noqa: S105 - a word, no secret

    class Outcome(StrEnum):
        """With what result."""

        IN = "in"
        OUT = "out"
        REFUSED = "refused"
        LOCKED = "locked"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="logins")
    username = models.CharField(max_length=150)
    way = models.CharField(max_length=5, choices=_choices(Way))
    outcome = models.CharField(max_length=7, choices=_choices(Outcome))
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=200, blank=True)

    class Meta:
        """The newest first."""

        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.username} {self.way} {self.outcome}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
