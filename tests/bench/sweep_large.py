"""Scheduled readings of 5,000 and 10,000 PBXs by real `manage.py work` processes; 10,000 by two, in 150 s at most."""

from .figures import goal
from .sweep import swept

LATENCY_S = 0.2


def main() -> None:
    swept(LATENCY_S, 1, 5_000)
    goal("10,000 PBXs by two processes, s", swept(LATENCY_S, 2, 10_000), 150)
