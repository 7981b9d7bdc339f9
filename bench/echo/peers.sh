#!/bin/sh
# Installs the Python peers of the comparison into a folder outside the project, which it prints:
#   ECHO_PYTHON=$(bench/echo/peers.sh) deno task bench:echo
# Where there is no way to PyPI, Debian's will do: apt-get install python3-uvloop python3-tornado, ECHO_PYTHON=/usr/bin/python3.
set -eu
folder=${1:-$(mktemp -d)}
python3 -m venv "$folder" >&2
"$folder/bin/pip" install --quiet --disable-pip-version-check uvloop tornado >&2
echo "$folder/bin/python3"
