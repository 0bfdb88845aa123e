import re

import pytest
from django.core.exceptions import ValidationError

from pbxadmin.fleet.inputs import (
    HOST_HELP,
    LOGIN_IN_HOST,
    PORT_HELP,
    clean_ca,
    clean_fingerprint,
    clean_host,
    clean_port,
    web_address_parts,
)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("pbx.example.com", "pbx.example.com"),
        (" PBX.Example.COM ", "pbx.example.com"),
        ("pbx", "pbx"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
        ("10-pbx.example", "10-pbx.example"),
        ("192.168.1.10", "192.168.1.10"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("FD00:0:0::0001", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_is_kept_in_one_spelling(typed: str, kept: str) -> None:
    assert clean_host(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "https://pbx.example.com",
        "pbx.example.com:8088",
        "pbx.example.com/api",
        "user:pw@pbx.example.com",
        "user@10.0.0.1",
        "127.0.0.1#@169.254.169.254",
        "pbx.example.com?x",
        "pbx\\example",
        "pbx example",
        "pbx.example\r\nX: y",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "/var/run/docker.sock",
        "http+unix://%2Fvar",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "10.0.0.010",
        "①②⑦.⓪.⓪.①",
        "pbx_1.example",
        "-pbx.example",
        "pbx-.example",
        "pbx..example",
        "pbx.example.",
        ".example",
        "a" * 64 + ".example",
        ".".join(["a" * 50] * 6),
        "",
        "pbx.müller.example",
    ],
)
def test_what_is_neither_a_name_nor_an_address_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match=HOST_HELP):
        clean_host(typed)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("https://pbx.example.com:8088/whatever?x=y", {"scheme": "https", "host": "pbx.example.com", "port": "8088"}),
        (" \thttps://pbx.example.com:8088/\r\n", {"scheme": "https", "host": "pbx.example.com", "port": "8088"}),
        ("HTTPS://PBX.Example.com", {"scheme": "https", "host": "PBX.Example.com", "port": "443"}),
        ("http://10.0.0.1/cgi?a=b c", {"scheme": "http", "host": "10.0.0.1", "port": "80"}),
        ("https://[fd00::1]:8088/", {"scheme": "https", "host": "fd00::1", "port": "8088"}),
        ("[fd00::1]:8088", {"host": "fd00::1", "port": "8088"}),
        ("pbx.example.com:8088", {"host": "pbx.example.com", "port": "8088"}),
        ("10.0.0.1:80/api", {"host": "10.0.0.1", "port": "80"}),
        ("pbx.example.com/api/v1.0.0/", {"host": "pbx.example.com"}),
        ("pbx.example.com#top", {"host": "pbx.example.com"}),
    ],
)
def test_a_web_address_is_taken_apart(typed: str, parts: dict[str, str]) -> None:
    assert web_address_parts(typed) == parts


@pytest.mark.parametrize(
    "typed",
    [
        "pbx.example.com",
        " 10.0.0.1 ",
        "fd00::1",
        "[fd00::1]",
        "::1",
        "",
        "ftp://pbx.example.com",
        "https://",
        "https://pbx example.com/",
        "https:/pbx.example.com",
        "https://https://pbx.example.com",
        "https://pbx.example.com:80880000/",
        "https://pbx.example.com:80x/",
        "https://pbx.example.com:/",
        "pbx\\example",
        "/var/run/docker.sock",
    ],
)
def test_what_is_no_web_address_is_left_to_the_check_of_hosts(typed: str) -> None:
    assert web_address_parts(typed) == {}


@pytest.mark.parametrize(
    "typed",
    ["https://user:pass@pbx.example.com/", "user@10.0.0.1", "user:pa/ss@pbx", "127.0.0.1#@169.254.169.254", "@pbx"],
)
def test_a_login_in_a_web_address_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(LOGIN_IN_HOST)):
        web_address_parts(typed)


@pytest.mark.parametrize(("typed", "kept"), [("1", 1), ("8088", 8088), ("65535", 65535)])
def test_a_port_is_a_whole_number(typed: str, kept: int) -> None:
    assert clean_port(typed) == kept


@pytest.mark.parametrize("typed", ["0", "65536", "-1", "8088.0", "8_088", "８０８８", "1e3", "0x1f98", "80 88", ""])
def test_another_port_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match=PORT_HELP):
        clean_port(typed)


@pytest.mark.parametrize(
    "typed", ["AB" * 32, ":".join(["ab"] * 32), "ab " * 32, ":".join(["AB"] * 16) + "\n" + ":".join(["AB"] * 16)]
)
def test_a_fingerprint_is_kept_as_64_lower_case_digits(typed: str) -> None:
    assert clean_fingerprint(typed) == "ab" * 32


@pytest.mark.parametrize("typed", ["ab" * 31, "ab" * 33, "zz" * 32, "sha256:" + "ab" * 32])
def test_another_fingerprint_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match="64 hex digits"):
        clean_fingerprint(typed)


@pytest.mark.parametrize(
    "typed", ["not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ü"]
)
def test_what_is_not_a_certificate_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError, match="not a certificate"):
        clean_ca(typed)
