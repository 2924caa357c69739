# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The distribution's libvirt, for the suite of that name: version 9 on Debian 12, 11 on Debian 13.  The tests run daemons
# of their own (tests/libvirt), so nothing that the packages bring is started, now or at the next boot.

PACKAGES_LIBVIRT="libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu libvirt-dev"

# libvirt_install: brings in what is missing.  What is installed already is the owner's, and stays as it is.
libvirt_install() {
	local missing new status=0 policy=/usr/sbin/policy-rc.d
	# shellcheck disable=SC2086
	missing=$(packages_missing "$(debian_release)" $PACKAGES_LIBVIRT)
	[ -n "$missing" ] || return 0
	new=$(mktemp)
	libvirt_packages >"$new"
	if [ -e "$policy" ]; then
		policy=
	else
		printf '#!/bin/sh\n# for the time of an installation by the memtide lab\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	# shellcheck disable=SC2086
	(packages_need $missing) || status=$?
	[ -z "$policy" ] || rm -f "$policy"
	libvirt_packages | comm -13 "$new" - | libvirt_disable_units
	rm -f "$new"
	((status == 0)) || exit 1
}

libvirt_packages() { dpkg-query -W -f '${Package}\n' 'libvirt*' 2>/dev/null | sort; }

# libvirt_disable_units: of the packages whose names it reads.
libvirt_disable_units() {
	local units
	command -v systemctl >/dev/null || return 0
	units=$(xargs -r dpkg -L | grep -oE '/systemd/system/[^/]+\.(service|socket)$' | sed 's|.*/||' | sort -u)
	# shellcheck disable=SC2086
	[ -z "$units" ] || systemctl disable $units >/dev/null 2>&1 || true
}

# suite_libvirt: directly on this machine with its own kernel, then inside the nested host with all hooks.
suite_libvirt() {
	run_suite libvirt
	[ -z "$LAB_LONG" ] || run_suite libvirt-long
	suites_in_host libvirt ${LAB_LONG:+libvirt-long}
}
