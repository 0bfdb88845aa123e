"""Driver for Yeastar S-Series PBXs: HTTP API v1.0.0, v1.1.0 and v2.0.0."""
