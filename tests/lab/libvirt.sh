# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The distribution's libvirt, for the suite of that name and the demo: version 9 on Debian 12, 11 on Debian 13.  Both
# run daemons of their own (tests/libvirt), so nothing that the packages bring is started, now or at the next boot.

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

# The installed packages of libvirt; dpkg-query fails where it knows none.
libvirt_packages() {
	{ dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libvirt*' 2>/dev/null || true; } |
		sed -n 's/^installed //p' | sort
}

# libvirt_disable_units: of the packages whose names it reads.
libvirt_disable_units() {
	local units
	command -v systemctl >/dev/null || return 0
	units=$(xargs -r dpkg -L | sed -nE 's:.*/systemd/system/([^/]+\.(service|socket))$:\1:p' | sort -u)
	# shellcheck disable=SC2086
	[ -z "$units" ] || systemctl disable $units >/dev/null 2>&1 || true
}

# libvirt_unpack: on Debian 12 the version of Debian 13 as well, from backports, beside the one that is installed.
# LIBVIRT_OTHER is its folder afterwards.
libvirt_unpack() {
	local package dir=$CACHE/libvirt-backports work
	if [ ! -d "$dir" ]; then
		work=$(mktemp -d "$CACHE/.libvirt.XXXXXX")
		for package in libvirt0 libvirt-common libvirt-clients libvirt-daemon libvirt-daemon-common \
			libvirt-daemon-driver-qemu libvirt-daemon-log; do
			(cd "$work" && apt-get download "$package/bookworm-backports" && dpkg-deb -x "$package"_*.deb "$work") >&2 ||
				die "cannot download $package with apt"
		done
		chmod 755 "$work"
		mv -T "$work" "$dir"
	fi
	LIBVIRT_OTHER=$dir
}

# libvirt_here: on this machine, and on Debian 12 with --long with the other version, too.
libvirt_here() {
	local RUN=$RUN
	run_suite libvirt
	[ -n "$LAB_LONG" ] || return 0
	run_suite libvirt-long
	[ "$(debian_release)" = 12 ] || return 0
	libvirt_unpack
	RUN=$RUN/libvirt-backports
	mkdir -p "$RUN"
	say "with libvirt $(cd "$LIBVIRT_OTHER/usr" && LD_LIBRARY_PATH=$(echo lib/*-linux-gnu) sbin/libvirtd --version |
		awk '{ print $NF }'):"
	LAB_LIBVIRT=$LIBVIRT_OTHER run_suite libvirt
}

# suite_libvirt: directly on this machine with its own kernel, then inside the nested host with all hooks.
suite_libvirt() {
	libvirt_here
	suites_in_host libvirt ${LAB_LONG:+libvirt-long}
}
