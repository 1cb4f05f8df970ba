#!/bin/sh
# Run Python 3.11 or newer of this host with the given arguments: the one that $PYTHON names; else the distribution's, if it can make
# environments, for it is built to be fast (one that pyenv builds by default takes a fifth more CPU); else the first that is new enough.
# Where there is none, name everything that the project needs and this host lacks, with what installs it.
set -eu

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

system=/usr/bin/python3
makes_environments() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if [ -z "${PYTHON:-}" ] && makes_environments "$system"; then exec "$system" "$@"; fi
for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$python"; then exec "$python" "$@"; fi
done

lack() { printf '  - %s: apt-get install -y %s\n' "$1" "$2" >&2; }
echo "This host lacks what the project needs (run the commands as root, or with sudo):" >&2
if [ -n "${PYTHON:-}" ]; then
    echo "  - PYTHON=$PYTHON is not Python 3.11 or newer: name another, or unset it" >&2
else
    lack "Python 3.11 or newer (on Debian 12 or newer, or Ubuntu 24.04 or newer)" "python3 python3-venv"
fi
command -v java >/dev/null || [ -n "${JAVA_HOME:-}" ] || lack "Java 17 or newer" default-jre-headless
command -v mvn >/dev/null || lack Maven maven
command -v go >/dev/null || lack Go golang-go
command -v apt-get >/dev/null || echo "  - apt-get, dpkg-deb: run on Debian, start Docker, or give MONGO_URL" >&2
exit 1
