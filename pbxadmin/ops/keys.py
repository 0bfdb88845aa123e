"""Preparations of the demo that come before settings: its keys, and permission to connect to its own fleet."""

import base64
import os
import secrets
from pathlib import Path

from pbxadmin import env

HERE = Path(__file__).resolve().parent.parent.parent


def make_data_folder() -> None:
    """Make DATA_DIR and, in it, the keys that the environment does not give. Existing files are left as they are."""
    folder = env.folder_path("DATA_DIR", HERE / "data")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    makers = {"SECRET_KEY": lambda: secrets.token_urlsafe(48), "PBX_KEYS": new_pbx_key}
    for name, make in makers.items():
        if name not in os.environ and f"{name}_FILE" not in os.environ:
            write_once(folder / name.lower(), make())


def allow_own_fleet() -> None:
    """Permit connections to loopback, where the simulated PBXs are, unless PBX_NETWORKS says otherwise."""
    if "PBX_NETWORKS_FILE" not in os.environ:
        os.environ.setdefault("PBX_NETWORKS", "127.0.0.0/8,::1/128")


def new_pbx_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def write_once(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
