"""What a use case refuses because it is not so any more, for pages and the API alike."""

from typing import ClassVar


class Outdated(Exception):
    """What was asked for is not possible as things are now, and nothing was done. str(): why, for a person.

    kind: by which a script decides; it never changes. docs/api.md lists them.
    """

    kind: ClassVar[str]
