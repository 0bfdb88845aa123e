"""PBX Admin: a dashboard for the IVRs of many PBXs. `pyproject.toml` says the same version."""

__version__ = "0.1.0"
