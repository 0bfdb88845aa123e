"""The pages of the help: the Markdown of docs/, rendered once by the library that MkDocs uses for the site.

A built site would not do here: its theme runs inline scripts, which our Content-Security-Policy refuses, and brings a
second navigation. So the same text is rendered into pages of ours.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import unescape
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

from pbxadmin.folding import fold_text

FOLDER = settings.BASE_DIR / "docs"
FIRST_PAGE = "index"
EXTENSIONS = ("tables", "fenced_code", "toc", "attr_list")  # as in mkdocs.yml
SNIPPET = 140  # characters


@dataclass(frozen=True)
class HelpPage:
    """A page. slug: its path below docs/, without .md. contents: id and words of its sections. text: without markup."""

    slug: str
    title: str
    html: SafeString
    contents: tuple[tuple[str, str], ...]
    text: str

    @property
    def address(self) -> str:
        return help_address(self.slug)

    def snippet(self, word: str) -> str:
        """Return the text around the first place of a word."""
        at = max(0, fold_text(self.text).find(fold_text(word)) - SNIPPET // 3)
        start = self.text.find(" ", at) + 1 if at else 0
        piece = self.text[start : start + SNIPPET]
        return f"{'… ' if start else ''}{piece.rpartition(' ')[0]} …"


def help_address(slug: str) -> str:
    return reverse("help:index") if slug == FIRST_PAGE else reverse("help:page", args=[slug])


@cache
def help_pages() -> Mapping[str, HelpPage]:
    """Return all pages by slug. They are part of a release, so that they are read once in each process."""
    paths = sorted(FOLDER.glob("**/*.md"))
    slugs = (path.relative_to(FOLDER).with_suffix("").as_posix() for path in paths)
    return {slug: rendered(slug, path.read_text(encoding="utf-8")) for slug, path in zip(slugs, paths, strict=True)}


def rendered(slug: str, source: str) -> HelpPage:
    """Render a page. Its first heading is its title, and stands in the head of the page."""
    markdown = Markdown(extensions=[*EXTENSIONS, OurAddresses(slug)])  # type: ignore[no-untyped-call]
    html = markdown.convert(source)
    sections: list[dict[str, Any]] = markdown.toc_tokens  # type: ignore[attr-defined]
    title = strip_tags(sections[0]["name"])
    body = re.sub(r"^<h1.*?</h1>\s*", "", html, flags=re.DOTALL)
    contents = tuple((each["id"], unescape(each["name"])) for each in sections[0]["children"])
    # What stands in the repository is as trusted as a template.
    return HelpPage(slug, title, SafeString(body), contents, " ".join(strip_tags(body).split()))


class OurAddresses(Extension):
    """Gives links between files of docs/ and pictures the addresses that they have here."""

    def __init__(self, slug: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slug = slug

    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(Addresses(md, self.slug), "addresses", 0)


class Addresses(Treeprocessor):
    def __init__(self, md: Markdown, slug: str) -> None:
        super().__init__(md)
        self.slug = slug

    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            self.name(link)
            link.set("href", self.address(link.get("href", "")))
        for holder in list(root.iter()):
            for place, picture in enumerate(holder):
                if picture.tag == "img":
                    holder[place] = self.picture(picture)
            for place, table in enumerate(holder):
                if table.tag == "table":
                    holder[place] = scrolling(table)

    def name(self, link: Element) -> None:
        """Say the title of a page where the text says the name of its file, which only the repository has."""
        file = link.get("href", "").partition("#")[0]
        if link.text == file and file.endswith(".md"):
            link.text = title_of(FOLDER / normpath(join(dirname(self.slug), file)))

    def picture(self, img: Element) -> Element:
        """Return a picture as it is shown: its dark twin, if there is one, to whom the pages are dark."""
        light = img.get("src", "")
        dark = f"{light.removesuffix('.png')}-dark.png"
        img.set("src", self.address(light))
        img.set("loading", "lazy")
        picture = Element("picture")
        if (FOLDER / dirname(self.slug) / dark).exists():
            query = {"media": "(prefers-color-scheme: dark)", "srcset": self.address(dark)}
            SubElement(picture, "source", query)
        img.tail, picture.tail = None, img.tail
        picture.append(img)
        return picture

    def address(self, target: str) -> str:
        """Return where the target of a link is: another page, a picture, or what it says."""
        file, _, section = target.partition("#")
        place = normpath(join(dirname(self.slug), file))
        if file.endswith(".md"):
            return help_address(place.removesuffix(".md")) + (f"#{section}" if section else "")
        return static(place.replace("shots/", "help/", 1)) if place.startswith("shots/") else target


def title_of(path: Path) -> str:
    """Return the first heading of a file of docs/."""
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("# ")


def scrolling(table: Element) -> Element:
    """Return a table that scrolls within its page where it is too wide, and whose cells say their columns."""
    table.set("class", "table free")
    columns = ["".join(head.itertext()) for head in table.iter("th")]
    for row in table.iter("tr"):
        for cell, column in zip(row.findall("td"), columns, strict=False):
            if column:
                cell.set("data-label", column)
    box = Element("div", {"class": "scroll", "tabindex": "0"})
    table.tail, box.tail = None, table.tail
    box.append(table)
    return box


def help_found(typed: str) -> Iterator[tuple[HelpPage, str]]:
    """Yield each page that has all of these words, those with one in the title first, and a piece of its text."""
    words = [fold_text(word) for word in typed.split()]

    def is_less(page: HelpPage) -> bool:
        return not any(word in fold_text(page.title) for word in words)

    for page in sorted(help_pages().values(), key=is_less) if words else ():
        text = fold_text(f"{page.title} {page.text}")
        if page.slug != FIRST_PAGE and all(word in text for word in words):
            yield page, page.snippet(words[0])
