"""manage.py grant USER ROLE [--customer NAME]"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.access.models import Customer, User
from pbxadmin.access.names import fold
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant


class Command(BaseCommand):
    help = "Gives a user a role, for one customer or for all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument("role", help=", ".join(Role.values))
        parser.add_argument("--customer", help="its name; without it the role is for all customers")

    def handle(self, *args: Any, **options: Any) -> None:
        user, role, customer = named_user(options["user"]), named_role(options["role"]), None
        if options["customer"] is not None:
            customer = named_customer(options["customer"])
        granted = membership_grant(user=user, role=role, customer=customer)
        verb = "is now" if granted else "already is"
        self.stdout.write(f"{user.username} {verb} {role.label.lower()} of {customer or 'all customers'}.")


def named_user(name: str) -> User:
    try:
        return User.objects.get_by_natural_key(name)
    except User.DoesNotExist:
        raise CommandError(f"There is no user {name!r}. Invite people without an account on the page People.") from None


def named_role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise CommandError(f"There is no role {name!r}. The roles are {', '.join(Role.values)}.") from None


def named_customer(name: str) -> Customer:
    customer = Customer.objects.filter(folded=fold(name)).first()
    if customer is None:
        raise CommandError(f"There is no customer {name!r}. Customers are added on the page Customers.")
    return customer
