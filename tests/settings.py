"""The product's settings, with what tests need: fixed keys, a database file of their own, a fast hasher."""

import atexit
import base64
import os
import shutil
import tempfile

# Below that of the process which started this one, and gone with it: one that is killed removes nothing itself.
_FOLDER = tempfile.mkdtemp(prefix="pbxadmin-tests-", dir=os.environ.get("TESTS_FOLDER"))
os.environ["TESTS_FOLDER"] = _FOLDER


def _remove_folder(made_by: int = os.getpid()) -> None:
    """Not by a fork of the process that made it, whose end comes first."""
    if os.getpid() == made_by:
        shutil.rmtree(_FOLDER, ignore_errors=True)


atexit.register(_remove_folder)
for _name in [name for name in os.environ if name in ("SITE_URL", "ALLOWED_HOSTS", "PBX_KEYS", "SECRET_KEY")]:
    del os.environ[_name]
os.environ["SECRET_KEY"] = "only-for-tests-" + "x" * 40
os.environ["PBX_KEYS"] = base64.urlsafe_b64encode(b"only for tests: 32 bytes exactly").decode()
os.environ["DATA_DIR"] = _FOLDER
for _name in ("PBX_NETWORKS_FILE", "PBX_PORTS", "PBX_PORTS_FILE", "WEBHOOK_NETWORKS_FILE"):
    os.environ.pop(_name, None)
os.environ["PBX_NETWORKS"] = "127.0.0.0/8"  # where the simulated fleet is, and nowhere else
os.environ["WEBHOOK_NETWORKS"] = "127.0.0.0/8"
os.mkdir(os.path.join(_FOLDER, "static"))  # WhiteNoise warns of a missing one, and warnings are errors here

from pbxadmin.settings import *  # noqa: E402
from pbxadmin.settings import DATABASES  # noqa: E402

ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if str(DATABASES["default"]["ENGINE"]).endswith("sqlite"):
    # A file: an in-memory database would share one connection between threads and hide locking.
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(_FOLDER, "test.sqlite3")}
