"""A small OpenID provider on loopback: discovery, authorization code with PKCE, RS256 tokens, keys, userinfo."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "pbx-admin", "a secret only the two know"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OpenIdProvider:
    """`person` is who is signed in there. `claims` and `header` change the next tokens, `userinfo` the page beside."""

    def __init__(self) -> None:
        self.person = {"sub": "p-1", "email": "mara@acme.example", "email_verified": True}
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.key = self.signing_key = new_key()
        self.algorithm = "RS256"
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, dict[str, Any] | str]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        if path == "/authorize":
            code = secrets.token_hex(8)
            self.codes[code] = query
            return 302, f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
        if path == "/token":
            return self.token(query)
        if path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return 200, {"keys": [public | {"kid": "k1", "use": "sig", "alg": "RS256"}]}
        if path == "/userinfo" and headers["Authorization"] == "Bearer access":
            return 200, self.userinfo or self.person
        return 404, {}

    def token(self, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(query.get("code", ""), None)
        is_ours = (query.get("client_id"), query.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if asked is None or not is_ours or asked["redirect_uri"] != query["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        verifier = hashlib.sha256(query["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(verifier).decode().rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **self.person, **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        key: Any = self.signing_key if self.algorithm == "RS256" else "0" * 64 if self.algorithm == "HS256" else None
        return 200, {
            "access_token": "access",
            "token_type": "Bearer",
            "id_token": jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": "k1"}),
        }

    def handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                self.reply(*provider.answer(url.path, flat(url.query), self.headers))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.reply(*provider.answer(self.path, flat(body), self.headers))

            def reply(self, status: int, content: dict[str, Any] | str) -> None:
                self.send_response(status)
                body = b""
                if isinstance(content, str):
                    self.send_header("Location", content)
                else:
                    self.send_header("Content-Type", "application/json")
                    body = json.dumps(content).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@pytest.fixture
def provider(settings: Any) -> Iterator[OpenIdProvider]:
    """A provider that runs, and that the settings name."""
    running = OpenIdProvider()
    thread = threading.Thread(target=running.server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    settings.OIDC_SERVER_URL, settings.OIDC_CLIENT_ID, settings.OIDC_NAME = running.url, CLIENT_ID, "Acme sign-in"
    app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
    ours = {
        "client_id": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "settings": {"server_url": running.url, "oauth_pkce_enabled": True},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app | ours]}}
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()
