"""The person behind a request."""

from typing import cast

from django.http import HttpRequest

from .models import User


def user_of(request: HttpRequest) -> User:
    """Return the signed-in user. Only for views that require a sign-in."""
    return cast(User, request.user)
