pytest_plugins = ["tests.audit_flush", "tests.pbx_http", "tests.simulated"]
