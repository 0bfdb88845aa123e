#!/usr/bin/env python3
"""Django's command line. `demo` first makes its own private data folder and keys, and allows its own fleet."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbxadmin.settings")
    if sys.argv[1:2] == ["demo"]:
        from pbxadmin.ops.keys import allow_own_fleet, make_data_folder

        make_data_folder()
        allow_own_fleet()
    from pbxadmin.ops.unmigrated import command_line

    command_line(sys.argv)


if __name__ == "__main__":
    main()
