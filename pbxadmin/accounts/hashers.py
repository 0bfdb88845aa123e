"""Password hashing."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with 46 MiB, above the OWASP minimum. Django's 100 MiB in every web thread is too much memory."""

    time_cost = 2
    memory_cost = 47_104
    parallelism = 1
