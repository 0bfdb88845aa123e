"""The person behind a request."""

from typing import cast

from django.http import HttpRequest

from .models import User


def user_of(request: HttpRequest) -> User:
    """The person; views that call this require a sign-in."""
    return cast(User, request.user)
