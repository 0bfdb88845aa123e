"""The lists: IVRs over all PBXs, and what a set of filters means."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q

from pbxadmin.access.models import AnyUser
from pbxadmin.access.names import fold
from pbxadmin.fleet.models import Pbx, has_tag
from pbxadmin.web.filters import typed, whole

from .models import Ivr, IvrQuerySet

SORTS: dict[str, tuple[str, ...]] = {
    "number": ("number", "pbx__name", "id"),
    "name": ("name", "number", "id"),
    "pbx": ("pbx__name", "number", "id"),
    "customer": ("pbx__customer__name", "pbx__name", "number", "id"),
    "response": ("response_timeout_s", "number", "id"),
    "read": ("read_at", "id"),
}
DEFAULT_SORT = "pbx"
MOST_WORDS = 8


@dataclass(frozen=True)
class IvrFilter:
    """What a list of IVRs is narrowed to, as it stands in the URL. Values that make no sense count as absent."""

    q: str = ""
    customer: int | None = None
    pbx: int | None = None
    tag: str = ""
    dial_outbound: bool = False
    dial_extension: bool = False
    response_under: int | None = None
    sort: str = DEFAULT_SORT
    descending: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, str], pbx: int | None = None) -> "IvrFilter":
        sort = query.get("sort", DEFAULT_SORT)
        return cls(
            q=typed(query.get("q")),
            customer=whole(query.get("customer")),
            pbx=pbx or whole(query.get("pbx")),
            tag=fold(typed(query.get("tag")))[:200],
            dial_outbound=query.get("dial_outbound") == "on",
            dial_extension=query.get("dial_extension") == "on",
            response_under=whole(query.get("response_under")),
            sort=sort.removeprefix("-") if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
            descending=sort.startswith("-"),
        )

    @property
    def words(self) -> list[str]:
        return self.q.split()[:MOST_WORDS]

    @property
    def narrows_ivrs(self) -> bool:
        """Whether it asks for something of the IVR itself, beyond whose and on which PBX."""
        return bool(self.q or self.dial_outbound or self.dial_extension or self.response_under is not None)

    @property
    def is_empty(self) -> bool:
        return not (self.is_narrow or self.pbx)

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves anything out of the list of its page."""
        return bool(self.narrows_ivrs or self.customer or self.tag)

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(f"-{column}" if self.descending else column for column in SORTS[self.sort])

    def query(self, **changed: str) -> str:
        """The query string of this filter, with some values changed; an empty value takes one out."""
        values = {
            "q": self.q,
            "customer": str(self.customer or ""),
            "pbx": str(self.pbx or ""),
            "tag": self.tag,
            "dial_outbound": "on" if self.dial_outbound else "",
            "dial_extension": "on" if self.dial_extension else "",
            "response_under": "" if self.response_under is None else str(self.response_under),
            "sort": ("-" if self.descending else "") + self.sort,
        } | changed
        if values["sort"] == DEFAULT_SORT:
            values["sort"] = ""
        return urlencode({name: value for name, value in values.items() if value})

    def sort_query(self, sort: str) -> str:
        """Sort by this column; by the other way round when it is sorted by already."""
        return self.query(sort=f"-{sort}" if sort == self.sort and not self.descending else sort)


def ivrs_found(user: AnyUser, wanted: IvrFilter) -> IvrQuerySet:
    """The IVRs that the person may see and the filter lets through, unordered.

    Words are looked for in the IVR's number and name and, by one subquery, in what describes its PBX.
    """
    found = Ivr.objects.visible_to(user)
    if wanted.customer is not None:
        found = found.filter(pbx__customer_id=wanted.customer)
    if wanted.pbx is not None:
        found = found.filter(pbx_id=wanted.pbx)
    if wanted.tag:
        found = found.filter(has_tag(wanted.tag, "pbx__"))
    if wanted.dial_outbound:
        found = found.filter(dial_outbound="on")
    if wanted.dial_extension:
        found = found.filter(dial_extension="on")
    if wanted.response_under is not None:
        found = found.filter(response_timeout_s__lt=wanted.response_under)
    for word in wanted.words:
        on_pbxs = Pbx.objects.visible_to(user).matching([word]).order_by().values("pk")
        found = found.filter(Q(number__icontains=word) | Q(name__icontains=word) | Q(pbx_id__in=on_pbxs))
    return found


def pbxs_in_view(user: AnyUser, wanted: IvrFilter) -> list[Pbx]:
    """The PBXs in use behind a list: those of the IVRs found, and with no filter on IVRs also those never read."""
    pbxs = Pbx.objects.visible_to(user).in_use()
    if wanted.narrows_ivrs:
        return list(pbxs.filter(pk__in=ivrs_found(user, wanted).values("pbx_id")))
    if wanted.customer is not None:
        pbxs = pbxs.filter(customer_id=wanted.customer)
    if wanted.pbx is not None:
        pbxs = pbxs.filter(pk=wanted.pbx)
    if wanted.tag:
        pbxs = pbxs.tagged(wanted.tag)
    return list(pbxs)
