from tests.astray import environment_leads_astray  # noqa: F401
