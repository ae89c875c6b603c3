#!/usr/bin/env bash
# The peers from Debian: Dovecot installed, Cyrus unpacked into a folder, for Debian
# lets only one IMAP server be installed. Nothing is started and no system setting is written.
#
#     benches/compare/packages.sh FOLDER        then: compare.py --cyrus-root FOLDER
set -euo pipefail
folder=${1:?usage: packages.sh FOLDER}
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)

# Debian's maintainer scripts ask this file whether a service may be started.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
    "${root[@]}" chmod 755 $policy
    trap '"${root[@]}" rm -f $policy' EXIT
fi
"${root[@]}" apt-get update -q
# After the two servers of Dovecot: the libraries that Cyrus is linked with.
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    dovecot-imapd dovecot-fts-xapian \
    libical3 libicu72 libjansson4 libldap-2.5-0 libpcre3 libpq5 libsasl2-2 libsasl2-modules \
    libsqlite3-0 libwrap0 libxapian30 libxml2 libzephyr4
mkdir -p "$folder"
chmod 755 "$folder"
cd "$folder"
apt-get download -q cyrus-imapd cyrus-common
for package in cyrus-*.deb; do
    dpkg-deb -x "$package" .
done
test -x usr/lib/cyrus/bin/master
