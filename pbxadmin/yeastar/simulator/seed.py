"""Initial contents of the PBXs of a fleet. They depend on the position only, so that all runs are alike."""

from .device import V2_0, Fields
from .pbx import SimulatedPbx

SITES = (
    *("HQ", "Hamburg", "Leeds", "Porto", "Lyon", "Gdansk", "Turin", "Cork", "Ghent", "Malmo"),
    *("Brno", "Graz", "Tartu", "Basel", "Delft", "Seville", "Patras", "Varna", "Oulu", "Zadar"),
)
# Whose the PBXs are, in turn: of the first dozen two of three are Acme's, then three smaller customers have as many.
PREFIXES = ("ACME", "ACME", "BELL") * 4 + ("CURA", "DELM", "EAST") * 4
MENUS = (
    *(
        "Main_Menu",
        "After_Hours",
        "Sales",
        "Support",
        "Welcome Guest",
    ),  # with a blank, as people can enter it on the PBX
    *("Billing", "Holidays", "Warehouse"),
)
PROMPTS = ("[Default]", "welcome-day", "closed-evening", "sales-greeting")
MODELS = (("Yeastar S100", "30.10.0.67"), ("Yeastar S50", "30.10.0.59"), ("Yeastar S300", "30.11.0.11"))


def seeded(position: int) -> SimulatedPbx:
    pbx = SimulatedPbx(name(position), ivrs(position))
    pbx.password = f"Simulated{1000 + position}"
    pbx.serial = f"3693{position:08d}"
    pbx.routes, pbx.queues = routes(position), queues(position)
    pbx.model, pbx.firmware = MODELS[position % len(MODELS)]
    if position % 4 == 3:
        pbx.firmware = "30.13.0.30"
        pbx.versions.add(V2_0)
    if position % 10 == 7:
        pbx.leaves_out.add("dialtocheckvoicemail")
    return pbx


def name(position: int) -> str:
    """Return the name of a PBX, by its customer and the place that it stands at."""
    turns, turn = divmod(position, len(PREFIXES))
    prefix = PREFIXES[turn]
    ordinal = turns * PREFIXES.count(prefix) + PREFIXES[:turn].count(prefix)
    round_, site = divmod(ordinal, len(SITES))
    return f"{prefix}-{SITES[site]}" + (f"-{round_ + 1}" if round_ else "")


def ivrs(position: int) -> dict[str, Fields]:
    menus = MENUS[: 5 + position % 4]
    return {str(6500 + place): ivr(position, place, menu) for place, menu in enumerate(menus)}


def ivr(position: int, place: int, menu: str) -> Fields:
    turn = position * 3 + place
    dials_out = place == 3 and position % 4 == 0
    routes = {"selectedrouters": "Local_Out"} if dials_out else {}
    return {
        "ivrnumber": str(6500 + place),
        "ivrname": menu,
        "prompt": PROMPTS[turn % len(PROMPTS)],
        "promptrepeat": str(1 + turn % 4),
        "responsetimeout": str(3 + turn % 8),
        "digittimeout": str(2 + turn % 5),
        "dialext": "on" if turn % 3 == 0 else "off",
        "dialoutboundroutes": "on" if dials_out else "off",
        "dialtocheckvoicemail": "on" if turn % 5 == 0 else "off",
        **routes,
    }


def routes(position: int) -> dict[str, Fields]:
    """Return inbound routes: by day to the first IVR, on some PBXs also to others, to a queue and to an extension."""
    number = f"03069990{position:03}"  # nobody's: kept free for films
    found = [("Main", number, "ivr", "6500"), ("Sales_Line", f"{number}1", "queue", "6701")]
    found += [("Night", f"{number}2", "ivr", "6501")] if position % 2 == 0 else []
    found += [("Old_Hotline", f"{number}3", "ivr", "6503"), ("Fax", f"{number}9", "extension", "1000")][position % 3 :]
    return {
        str(place): {
            "id": str(place),
            "name": name,
            "did": did,
            "caller_id": "",
            "trunks": "siptrunk",
            "desttype": kind,
            "dest": to,
        }
        for place, (name, did, kind, to) in enumerate(found, 1)
    }


def queues(position: int) -> dict[str, Fields]:
    """Return two queues. Callers who wait too long, or press a key, come to IVRs on most PBXs."""
    sales = {"failoveraction": "IVR", "failoverdest": "6501"} if position % 3 else {"failoveraction": "Hang up"}
    support = {"failoveraction": "Voicemail", "failoverdest": "1001", "breakoutkey": "0"}
    support |= {"breakoutaction": "IVR", "breakoutdest": "6500"}
    return {"6701": queue("6701", "Sales", sales), "6702": queue("6702", "Support", support)}


def queue(number: str, title: str, leads: Fields) -> Fields:
    return {
        "queuenumber": number,
        "queuename": title,
        "password": f"queue-secret-{number}",
        "ringstrategy": "Ring All",
        "agents": "1001,1002,",
        "agenttimeout": "30",
        "maxwaittime": "1800",
        "joinannounce": "",
        "breakoutkey": "None",
        **leads,
    }
