"""One event with its proof."""

import hashlib
import re
from html import unescape

import pytest

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor, AuditContext, acting
from pbxadmin.audit.log import record
from pbxadmin.fleet.services import pbx_delete, pbx_edit
from pbxadmin.review.wording import label_of
from pbxadmin.yeastar.s_series.codes import meaning
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
HQ = (501, "ACME-HQ")


@pytest.fixture
def auditor(client, acme):
    client.force_login(make_user("auditor", acme))
    return client


def of(customer):
    return (customer.pk, customer.name)


def page_of(client, event):
    answer = client.get(f"/audit/{event.pk}/")
    assert answer.status_code == 200
    return answer.content.decode()


def rows(page):
    """Field: before, asked, found, as a person reads them."""
    found = {}
    for name, row in re.findall(r'<tr data-field="(\w+)">(.*?)</tr>', page, re.DOTALL):
        cells = re.findall(r"<td data-label[^>]*>(.*?)</td>", row, re.DOTALL)
        found[name] = [" ".join(re.sub("<[^>]+>", "", cell).split()) for cell in cells]
    return found


def test_who_is_not_signed_in_is_led_to_sign_in(client, acme):
    event = record(EventAction.PBX_EDITED, customer=of(acme))

    assert client.get(f"/audit/{event.pk}/")["Location"] == f"/accounts/login/?next=/audit/{event.pk}/"


def test_before_asked_and_found_are_said_in_words(auditor, acme):
    event = record(
        EventAction.CHANGE_OUTCOME,
        outcome="not-as-asked",
        customer=of(acme),
        pbx=HQ,
        ivr=("6500", "Main_Menu"),
        fields={
            "response_timeout": {"before": "3", "asked": "1", "found": None},
            "prompt_repeat": {"before": "1", "asked": "5", "found": "5"},
            "dial_extension": {"before": "off", "asked": "on", "found": "maybe"},
            "tls_profile": {"before": "modern", "asked": "legacy"},
            "port": {"before": None, "asked": 8088},
        },
    )

    page = page_of(auditor, event)

    assert rows(page) == {
        "response_timeout": ["3 s", "1 s", "not reported not as asked"],
        "prompt_repeat": ["1 time", "5 times", "5 times"],
        "dial_extension": ["Off", "On", "maybe not as asked"],
        "tls_profile": ["modern", "legacy", ""],
        "port": ["", "8088", ""],
    }
    assert "<b>Response timeout</b>" in page
    assert "<b>Tls profile</b>" in page
    assert "Not as asked" in page


def test_who_when_why_and_from_where_are_shown(auditor, acme):
    with acting(AuditContext(Actor(70, "Mara Lindqvist"), "192.0.2.1", "request-abc")):
        event = record(
            EventAction.PBX_EDITED,
            customer=of(acme),
            pbx=HQ,
            detail={"host": "10.0.0.1"},
            reason="Moved",
            ticket="T-17",
        )

    page = page_of(auditor, event)

    for said in ("PBX edited", "Mara Lindqvist", "(id 70)", "192.0.2.1", "request-abc", "10.0.0.1", "Moved", "T-17"):
        assert said in page, said


def test_the_place_in_the_chain_is_shown_with_both_hashes(auditor, acme):
    first = record(EventAction.PBX_EDITED, customer=of(acme))
    second = record(EventAction.PBX_EDITED, customer=of(acme))

    page = page_of(auditor, second)

    assert f"customer:{acme.pk}" in page
    assert second.hash in page
    assert first.hash in page


def test_the_first_event_of_a_chain_says_that_there_is_none_before(client):
    client.force_login(make_user(is_superuser=True))
    event = record(EventAction.SESSION_FAILED)

    assert "none: the first of its chain" in page_of(client, event)


def test_other_events_of_the_same_change_are_linked_in_order(auditor, acme):
    sending, outcome, other = (
        record(action, outcome=said, customer=of(acme), pbx=HQ, change_id=change)
        for action, said, change in (
            (EventAction.CHANGE_SENDING, "sending", 5),
            (EventAction.CHANGE_OUTCOME, "unknown", 5),
            (EventAction.CHANGE_SETTLED, "verified", 6),
        )
    )
    settled = record(EventAction.CHANGE_SETTLED, outcome="verified", customer=of(acme), pbx=HQ, change_id=5)

    page = page_of(auditor, outcome)

    others = page.split("Other events of this change")[1]
    assert re.findall(r'<h3><a href="/audit/(\d+)/"', others) == [str(sending.pk), str(settled.pk)]
    assert f'<h3><a href="/audit/{other.pk}/"' not in page
    assert 'href="/changes/5/"' in page


def test_the_page_says_what_was_hashed_and_not_the_index_beside_it(auditor, acme):
    long_name = "N" * 250
    event = record(EventAction.PBX_EDITED, customer=of(acme), pbx=(501, long_name))

    assert event.pbx_name != long_name
    assert long_name in page_of(auditor, event)


def test_the_text_that_is_shown_gives_the_hash_that_is_shown(auditor, acme):
    record(EventAction.PBX_EDITED, customer=of(acme))
    event = record(EventAction.PBX_EDITED, customer=of(acme), pbx=(501, "<b>Zürich & Co</b>"), reason='He said "now"')

    page = page_of(auditor, event)

    text = unescape(re.sub("<[^>]+>", "", re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1]))
    own, before = re.findall(r'<span class="mono hash">(\w{64})</span>', page)
    assert hashlib.sha256(f"{before}\n{text}".encode()).hexdigest() == own


def test_what_the_pbx_answered_is_a_line_each_with_its_raw_code(auditor, acme):
    answer = {"code": "10018", "refused": True, "success": False, "words": "Number in use."}
    event = record(
        EventAction.CHANGE_OUTCOME,
        outcome="refused",
        customer=of(acme),
        detail={"answer": answer, "confirmed": ["renumber", "dial-out"], "note": "", "tried": []},
    )

    page = page_of(auditor, event)

    for label, value in (
        ("Answer code", "10018"),
        ("Answer refused", "yes"),
        ("Answer success", "no"),
        ("Answer words", "Number in use."),
        ("Confirmed", "renumber, dial-out"),
    ):
        assert f"<dt>{label}</dt><dd><bdi>{value}</bdi></dd>" in page
    assert "<dt>Note" not in page
    assert "<dt>Tried" not in page


def test_the_full_time_and_links_to_more_of_the_same_are_shown(auditor, acme):
    event = record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ, actor=Actor(70, "Mara & Tom"))

    page = page_of(auditor, event)

    assert f"{event.at:%Y-%m-%d %H:%M:%S.%f} UTC" in page
    assert 'href="/audit/?pbx=501"' in page
    assert 'href="/audit/?actor=70"' in page
    assert f'href="/audit/?customer={acme.pk}"' in page
    assert f'id="address">http://testserver/audit/{event.pk}/</span>' in page


def test_somebody_without_an_account_is_looked_for_by_name(auditor, acme):
    event = record(EventAction.PBX_EDITED, customer=of(acme), actor=Actor(None, "PBX & Admin"))

    assert 'href="/audit/?actor=PBX%20%26%20Admin"' in page_of(auditor, event)


def test_names_are_those_of_then_and_what_became_of_the_pbx_stands_beside(auditor, acme):
    kept, gone = make_pbx(acme, name="ACME-OLD"), make_pbx(acme, name="ACME-GONE")
    of_kept, of_gone = (
        record(EventAction.PBX_EDITED, customer=of(acme), pbx=(pbx.pk, pbx.name), ivr=("6500", "Main"))
        for pbx in (kept, gone)
    )
    assert "now" not in what_is_said_of_the_pbx(page_of(auditor, of_kept))

    pbx_edit(pbx=kept, values={"name": "ACME-NEW"})
    pbx_delete(pbx=gone)

    assert what_is_said_of_the_pbx(page_of(auditor, of_kept)) == f"ACME-OLD (id {of_kept.pbx_id}) now ACME-NEW"
    assert (
        what_is_said_of_the_pbx(page_of(auditor, of_gone)) == f"ACME-GONE (id {of_gone.pbx_id}) no longer in PBX Admin"
    )
    assert "See the IVR" in page_of(auditor, of_kept)
    assert "See the IVR" not in page_of(auditor, of_gone)


def test_what_a_customer_is_called_now_stands_beside_its_name_of_then(auditor, acme):
    event = record(EventAction.PBX_EDITED, customer=of(acme))
    assert "now" not in said_of_the_customer(page_of(auditor, event))

    Customer.objects.update(name="Acme Group")

    assert said_of_the_customer(page_of(auditor, event)) == f"Acme Logistics (id {acme.pk}) now Acme Group"


def said_of_the_customer(page):
    return re.sub("<[^>]+>", "", page.split("<dt>Customer</dt><dd>")[1].split("</dd>")[0])


def what_is_said_of_the_pbx(page):
    return re.sub("<[^>]+>", "", re.search(r"<dt>PBX</dt><dd>(.*?)</dd>", page)[1])


def test_a_value_is_not_said_to_be_unreported_where_nothing_was_read_back(auditor, acme):
    fields = {"response_timeout": {"before": "3", "asked": "6", "found": None}}
    for outcome, found in (("sending", ""), ("unknown", ""), ("not-sent", ""), ("verified", "not reported")):
        event = record(EventAction.CHANGE_OUTCOME, customer=of(acme), outcome=outcome, fields=fields)

        assert rows(page_of(auditor, event))["response_timeout"] == ["3 s", "6 s", found], outcome


def test_the_code_of_the_pbx_stands_with_its_meaning(auditor, acme):
    for code, said in (("20003", meaning("20003").text), ("99999", "a code that no guide lists")):
        event = record(
            EventAction.CHANGE_OUTCOME, customer=of(acme), detail={"answer": {"code": code, "refused": True}}
        )

        assert re.search(rf'<b class="mono"><bdi>{code}</bdi></b> [^<]*{re.escape(said)}', page_of(auditor, event))
    assert "Answer of the PBX" not in page_of(
        auditor, record(EventAction.PBX_EDITED, customer=of(acme), detail={"answer": {}})
    )


def test_the_meaning_of_a_code_is_the_one_that_was_recorded(auditor, acme):
    answer = {"code": "10012", "words": "The toy has no such menu (10012).", "refused": True}

    event = record(EventAction.CHANGE_OUTCOME, customer=of(acme), detail={"answer": answer})

    assert re.search(r'<b class="mono"><bdi>10012</bdi></b> The toy has no such menu\b', page_of(auditor, event))


def test_the_newest_of_the_same_ivr_and_the_neighbours_in_the_chain_are_a_click_away(auditor, acme):
    first, other, mine, last = (
        record(EventAction.CHANGE_OUTCOME, customer=of(acme), pbx=HQ, ivr=(number, "Main"))
        for number in ("6500", "6501") * 2
    )

    page = page_of(auditor, mine)

    same = page.split("Newest of this IVR")[1]
    assert re.findall(r'<h3><a href="/audit/(\d+)/"', same) == [str(first.pk)]
    assert 'href="/audit/?pbx=501&amp;ivr=6500"' in same
    assert f'href="/audit/{other.pk}/" rel="prev"' in page
    assert f'href="/audit/{last.pk}/" rel="next"' in page


def test_somebody_elses_event_answers_byte_for_byte_like_an_absent_one(auditor):
    theirs = record(EventAction.PBX_EDITED, customer=of(make_customer("Bellweather Clinics")), pbx=(9, "BELL-HQ"))
    installation = record(EventAction.SESSION_FAILED)

    absent = auditor.get("/audit/987654321/")

    assert absent.status_code == 404
    for event in (theirs, installation):
        answer = auditor.get(f"/audit/{event.pk}/")
        assert (answer.status_code, answer.content) == (404, absent.content)
        assert without_request_id(answer) == without_request_id(absent)


def without_request_id(answer):
    return {name: value for name, value in answer.headers.items() if name.lower() != "x-request-id"}


@pytest.mark.parametrize("pk", ["99999999999999999999999", "0", "-1", "abc", "1.5"])
def test_a_number_that_no_event_has_is_not_there(auditor, pk):
    assert auditor.get(f"/audit/{pk}/").status_code == 404


HOSTILE = "</pre><script>alert(1)</script>\u202eQH\x1b[31m\u200b'\""


def test_nothing_that_a_pbx_says_reaches_the_page_unescaped_or_unseen(auditor, acme):
    event = record(
        EventAction.CHANGE_OUTCOME,
        outcome=HOSTILE[:20],
        customer=of(acme),
        pbx=(501, HOSTILE),
        ivr=(HOSTILE, HOSTILE),
        actor=Actor(70, HOSTILE),
        fields={"name": {"before": HOSTILE, "asked": HOSTILE, "found": HOSTILE}},
        detail={"host": HOSTILE},
        reason=HOSTILE,
        ticket=HOSTILE,
    )

    page = page_of(auditor, event)

    assert "<script>alert" not in page
    assert "</pre><script" not in page
    assert page.count("U+202E") >= 9
    for unseen in ("\u202e", "\x1b", "\u200b"):
        assert unseen not in page, ascii(unseen)


def test_a_page_takes_twelve_queries(auditor, acme, django_assert_num_queries):
    event = record(EventAction.CHANGE_OUTCOME, customer=of(acme), pbx=HQ, ivr=("6500", "Main"), change_id=5)
    record(EventAction.CHANGE_SETTLED, customer=of(acme), change_id=5)

    with django_assert_num_queries(12):
        page_of(auditor, event)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("pbxs", "PBXs"),
        ("answer code", "Answer code"),
        ("user_id", "User ID"),
        ("response_timeout", "Response timeout"),
    ],
)
def test_the_name_of_a_detail_is_written_as_people_write_it(name: str, label: str) -> None:
    assert label_of(name) == label
