"""Which browser is driven, and how."""

CHROMIUM = "/usr/bin/chromium"
# Without the last flags Chromium calls home at every start.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
