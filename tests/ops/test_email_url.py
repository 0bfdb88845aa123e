"""EMAIL_URL and the sender's address: what they mean, and what stops start-up."""

import pytest

from pbxadmin.env import EMAIL_BACKENDS, BadSetting, email, sender


@pytest.mark.parametrize(
    ("url", "host", "port", "is_ssl", "is_starttls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 25, False, False),
        ("smtp://mail.example.com:2525/", "mail.example.com", 2525, False, False),
        ("smtp://mail.example.com?tls=false", "mail.example.com", 25, False, False),
        ("smtp://mail.example.com?tls=true", "mail.example.com", 587, False, True),
        ("smtp://mail.example.com:25/?tls=true", "mail.example.com", 25, False, True),
        ("smtps://mail.example.com", "mail.example.com", 465, True, False),
        ("smtps://[2001:db8::25]:4465", "2001:db8::25", 4465, True, False),
    ],
)
def test_a_mail_server_is_reached_as_its_address_says(url, host, port, is_ssl, is_starttls):
    found = email(url)

    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == (host, port)
    assert (found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (is_ssl, is_starttls)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("", "")


@pytest.mark.parametrize("url", ["smtps://m%40x:p%2Fa%3Ass@h.example", "smtp://m%40x:p%2Fa%3Ass@[::1]"])
def test_user_and_password_may_hold_any_character(url):
    found = email(url)

    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("m@x", "p/a:ss")


def test_without_a_server_mail_is_printed_kept_in_files_or_in_memory():
    assert email("console:") == {"EMAIL_BACKEND": EMAIL_BACKENDS["console"]}
    assert email("memory:") == {"EMAIL_BACKEND": EMAIL_BACKENDS["memory"]}
    assert email("file:///var/mail%20out")["EMAIL_FILE_PATH"] == "/var/mail out"


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.com", "smtp:", "smtp://", "smtp://:25", "http://mail.example.com", "SMTP//x", "console"),
        *("console://x", "memory:x", "file:", "file://host/folder", "file:///", "file:///folder?x=1"),
        *("smtp://mail.example.com/inbox", "smtp://mail.example.com?tls=1", "smtp://mail.example.com?tls=true&x=1"),
        *("smtp://mail.example.com#x", "smtps://mail.example.com?tls=true", "smtps://mail.example.com?tls=false"),
        *("smtp://mail.example.com:0", "smtp://mail.example.com:65536", "smtp://mail.example.com:smtp"),
        *("smtps://mara@mail.example.com", "smtps://:secret@mail.example.com"),
        *("smtp://mara:secret@mail.example.com", "smtp://mara:secret@mail.example.com?tls=false"),
    ],
)
def test_an_address_that_is_not_one_stops_start_up_and_names_the_setting(url):
    with pytest.raises(BadSetting, match=r"^EMAIL_URL [a-z].+") as stopped:
        email(url)

    assert "secret" not in str(stopped.value)


@pytest.mark.parametrize("value", ["pbx@example.com", "PBX Admin <pbx@example.com>", '"Voice, Ltd" <v@example.com>'])
def test_a_sender_is_an_address_with_or_without_a_name(monkeypatch, value):
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", value)

    assert sender("DEFAULT_FROM_EMAIL", "") == value


@pytest.mark.parametrize("value", ["", "PBX Admin", "pbx@", "<>", "a@b@c", "x <a@b>\nBcc: c@d", "a b@c"])
def test_a_sender_that_is_none_stops_start_up(monkeypatch, value):
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", value)

    with pytest.raises(BadSetting, match=r"^DEFAULT_FROM_EMAIL must look like"):
        sender("DEFAULT_FROM_EMAIL", "PBX Admin <pbx@example.com>")
