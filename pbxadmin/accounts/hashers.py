"""How passwords are kept."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id at 46 MiB, above what OWASP asks for. Django's 100 MiB, times every web thread, is much at once."""

    time_cost = 2
    memory_cost = 47_104
    parallelism = 1
