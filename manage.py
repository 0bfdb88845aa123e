#!/usr/bin/env python3
"""Django's command line, and what `demo` needs before there are settings: a private data folder with keys."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbxadmin.settings")
    if sys.argv[1:2] == ["demo"] and not {"-h", "--help"} & set(sys.argv):
        from pbxadmin.ops.keys import allow_own_fleet, make_data_folder

        make_data_folder()
        allow_own_fleet()
    from pbxadmin.ops.start_up import command_line

    command_line(sys.argv)


if __name__ == "__main__":
    main()
