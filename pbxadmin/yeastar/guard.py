"""Address guard: no form may make us connect to our own services or to the metadata of a cloud.

Neither `is_private` nor `is_global` of `ipaddress` is the rule: 64:ff9b::a9fe:a9fe and 168.63.129.16 are global,
fd00:ec2::254 is as private as any PBX on a LAN, and ::ffff:169.254.169.254 is not link-local.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .errors import FORBIDDEN_PORT, PbxForbidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...]

NAT64 = ip_network("64:ff9b::/96")

# Networks that an installation without PBX_NETWORKS may reach: LANs and the Internet, except what is in CLOSED.
DEFAULT: Networks = tuple(map(ip_network, ("0.0.0.0/0", "fc00::/7", "2000::/3")))

# Only a network within one of these opens it: 127.0.0.0/8 opens loopback, 0.0.0.0/0 does not.
CLOSED: Networks = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # on Linux, another way to reach loopback
            "100.64.0.0/10",  # shared by carriers and clouds: neither a LAN nor public
            "127.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "198.18.0.0/15",  # benchmarks of network devices
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/8",  # unspecified, loopback, NAT64, and older ways to embed IPv4
            "100::/64",
            "2001::/32",  # Teredo
            "2002::/16",  # 6to4
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
            # Metadata and other internal services of clouds. A wider network does not open them.
            "100.100.100.200/32",
            "168.63.129.16/32",
            "169.254.169.254/32",
            "169.254.170.2/32",
            "169.254.170.23/32",
            "192.0.0.192/32",
            "fd00:ec2::254/128",
            "fd00:ec2::23/128",
            "fd20:ce::254/128",
        ),
    )
)


def allowed(cidrs: Iterable[str]) -> Networks | None:
    """Return the networks of PBX_NETWORKS for `check_address`, or None, which means the default, for no networks."""
    return tuple(ip_network(cidr) for cidr in cidrs) or None


def check_address(address: str, networks: Networks | None) -> None:
    """Raise PbxForbidden for an address that we do not connect to, and for text that is not an address.

    networks: replace the default; see `allowed`.
    """
    if not is_allowed(address, DEFAULT if networks is None else networks):
        raise PbxForbidden


def check_port(port: int, ports: Collection[range]) -> None:
    """Raise PbxForbidden for a port outside these ranges. No ranges allow every port."""
    if ports and not any(port in some for some in ports):
        raise PbxForbidden(FORBIDDEN_PORT)


def is_allowed(text: str, networks: Networks) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return "%" not in text and all(is_open(one, networks) for one in meant_by(address))


def is_open(address: Address, networks: Networks) -> bool:
    """Return whether an address is in one of the networks. Only a network within a closed network opens that."""
    holding = [network for network in networks if address in network]
    return bool(holding) and all(any(is_within(n, closed) for n in holding) for closed in CLOSED if address in closed)


def is_within(network: Network, outer: Network) -> bool:
    return network.network_address in outer and network.prefixlen >= outer.prefixlen


def meant_by(address: Address) -> Iterator[Address]:
    """Yield the address and every address that it embeds. An IPv4-mapped address yields its IPv4 address only."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        yield address.ipv4_mapped
        return
    yield address
    if isinstance(address, IPv6Address):
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo
        if address in NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
