"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what was, too
PLACES = [ROOT, ROOT / "pbxadmin", ROOT / "docs"]
FOLDERS = {path.name for place in PLACES for path in place.iterdir() if path.is_dir()}


def named_by(page: Path) -> set[str]:
    """Return the paths in backquotes whose first folder is one of ours."""
    quoted = re.findall(r"`([\w.-]+/[\w./-]*)`", page.read_text(encoding="utf-8"))
    return {name for name in quoted if name.split("/")[0] in FOLDERS - {"data"}}


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    assert [name for name in sorted(named_by(page)) if not any((place / name).exists() for place in PLACES)] == []


def test_names_are_looked_for_in_more_than_one_page() -> None:
    assert len({page.name for page in CURRENT if named_by(page)}) > 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_between_pages_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
