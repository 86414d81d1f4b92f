# SPDX-License-Identifier: Apache-2.0
# sh -eu install.sh PACKAGE...: installs those Debian packages that are missing. No daemon starts, and none is enabled
# that was not on the machine before.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

# Debian asks this program before it starts a daemon (invoke-rc.d(8)); 101 forbids it.
policy=/usr/sbin/policy-rc.d
mark="written by weir while it installs packages"

forbid_daemons() {
	# A run that was killed may have left ours there, and the machine's own beside it.
	if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
		mv "$policy" "$policy.weir-saved"
	fi
	printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
}

allow_daemons() {
	rm -f "$policy"
	if [ -e "$policy.weir-saved" ]; then
		mv "$policy.weir-saved" "$policy"
	fi
}

is_installed() {
	[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# services: what systemd and what sysvinit could start.
services() {
	find /lib/systemd/system /etc/init.d -maxdepth 1 -type f \( -name '*.service' -o -path '/etc/init.d/*' \) 2>/dev/null |
		grep -v '@' | sort
}

disable_new_services() {
	services >"$work/after"
	comm -13 "$work/before" "$work/after" | while read -r file; do
		case $file in
		*.service) ! command -v systemctl >/dev/null || systemctl disable "${file##*/}" ;;
		*) update-rc.d "${file##*/}" disable ;;
		esac
	done
}

clean_up() {
	disable_new_services || echo "Cannot disable all new services" >&2
	allow_daemons
	rm -rf "$work"
}

missing=
for package in "$@"; do
	is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

work=$(mktemp -d)
services >"$work/before"
trap clean_up EXIT # also when apt fails half-way
trap 'exit 130' INT
trap 'exit 143' TERM HUP
forbid_daemons
apt-get -o DPkg::Lock::Timeout=600 -q update
# shellcheck disable=SC2086 # a list of words
apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -q -y --no-install-recommends install $missing
