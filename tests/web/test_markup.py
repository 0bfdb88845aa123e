"""What the content security policy forbids, and what would let a PBX's text become markup, stands nowhere."""

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.*"))
PYTHON = sorted([*(ROOT / "pbxadmin").rglob("*.py"), *(ROOT / "ivr").rglob("*.py")])
SCRIPTS = sorted((ROOT / "static" / "pbxadmin").rglob("*.js"))

IN_TEMPLATES = {
    "a style attribute": r"\sstyle\s*=",
    "a style element": r"<style\b",
    "an inline script": r"<script\b(?![^>]*\bsrc=)",
    "an event handler": r"""\son[a-z]+\s*=\s*["'{]""",
    "an HTMX handler": r"\bhx-on\b|\bhx-vals\s*=\s*[\"']js:|javascript:",
    "unescaped text": r"\|\s*safe\b|\|\s*safeseq\b|autoescape\s+off",
    "a script from elsewhere": r"""(src|href)\s*=\s*["'](https?:)?//""",
}
IN_PYTHON = {
    "mark_safe": r"\bmark_safe\b",
    "SafeString made by hand": r"\b(SafeString|SafeText)\(",
    "format_html with a made-up format": r"\bformat_html(_join)?\(\s*f[\"']",
    "a csrf exemption": r"\bcsrf_exempt\b",
    "autoescape off": r"autoescape\s*=\s*False",
}
# The help renders the files of docs/, which are part of a release and as trusted as a template.
RENDERS_OURS = "pbxadmin/help/pages.py"
IN_SCRIPTS = {"eval": r"\beval\(|new Function\(", "markup from text": r"\b(inner|outer)HTML\b|insertAdjacentHTML"}


def found(paths, pattern):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("what", IN_TEMPLATES)
def test_no_template_holds(what):
    assert len(TEMPLATES) > 40
    assert found(TEMPLATES, IN_TEMPLATES[what]) == []


# Of the pages of signing in: what is typed there is short, or secret.
NOT_KEPT = {"account", "mfa"}
TYPED_INTO = r"_sections\.html|{% field_row|<textarea|<input(?![^>]*type=\"(?:hidden|checkbox|radio)\")"


def forms_typed_into():
    """Yield the file and the opening tag of each form that somebody types into and that is posted."""
    for path in TEMPLATES:
        if path.relative_to(ROOT / "templates").parts[0] not in NOT_KEPT:
            text = path.read_text(encoding="utf-8")
            for opening, body in re.findall(r"(<form\b[^>]*>)(.*?)</form>", text, re.DOTALL):
                if 'method="post"' in opening and re.search(TYPED_INTO, body):
                    yield path.name, opening


def test_every_form_that_somebody_types_into_asks_before_it_is_left():
    assert len(list(forms_typed_into())) > 15
    assert [name for name, opening in forms_typed_into() if "data-unsaved" not in opening] == []


@pytest.mark.parametrize("what", IN_PYTHON)
def test_no_code_holds(what):
    assert len(PYTHON) > 60
    by_hand = [line for line in found(PYTHON, IN_PYTHON[what]) if not line.startswith(f"{RENDERS_OURS}:")]
    assert by_hand == []


@pytest.mark.parametrize("what", IN_SCRIPTS)
def test_no_script_holds(what):
    assert SCRIPTS
    assert found(SCRIPTS, IN_SCRIPTS[what]) == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a style attribute", '<p class="x" style="color:red">'),
        ("a style element", "<style>p{}</style>"),
        ("an inline script", "<script>go()</script>"),
        ("an inline script", '<script type="module">'),
        ("an event handler", '<a onclick="go()">'),
        ("an event handler", "<body onload = 'go()'>"),
        ("an HTMX handler", '<a hx-on:click="go()">'),
        ("an HTMX handler", '<a href="javascript:go()">'),
        ("unescaped text", "{{ name|safe }}"),
        ("unescaped text", "{% autoescape off %}"),
        ("a script from elsewhere", '<script src="https://cdn.example/x.js"></script>'),
    ],
)
def test_the_search_finds_what_it_is_for(tmp_path, what, line):
    assert re.search(IN_TEMPLATES[what], line)


def test_every_form_that_posts_carries_its_token():
    for path in TEMPLATES:
        for form in re.findall(r'<form\b[^>]*method="post".*?</form>', path.read_text(encoding="utf-8"), re.S):
            assert "{% csrf_token %}" in form, path
