# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the lab installs, and from where.  Only Debian 12 and 13 are known here; nothing is downloaded except
# through apt, and no mirror is named: further suites are taken from the mirror the machine already uses.

# shellcheck disable=SC2034
PACKAGES_BUILD="
	bc bison build-essential bpftool ccache clang-19 cpio dpkg-dev dwarves flex git jq kmod libelf-dev libssl-dev
	ninja-build pkgconf python3 python3-venv rsync scdoc sparse xz-utils zstd meson
	libbpf-dev libcmocka-dev libinih-dev libjansson-dev liburing-dev libvirt-dev libxml2-dev linux-libc-dev"
PACKAGES_QEMU="
	libattr1-dev libfdt-dev libglib2.0-dev libpixman-1-dev python3-pycotap python3-tomli"
PACKAGES_RUN="
	busybox-static e2fsprogs iproute2 man-db procps qemu-system-data seabios systemd util-linux"

# Packages that must come from backports on Debian 12, with the oldest version that will do.
PACKAGES_BACKPORTS_12="
	bpftool:7.5 libbpf-dev:1.4 linux-libc-dev:6.4 meson:1.5 python3-pycotap:1.3"

debian_release() {
	# shellcheck source=/dev/null
	. /etc/os-release
	case "${ID:-}:${VERSION_ID:-}" in
	debian:12 | debian:13) echo "$VERSION_ID" ;;
	*) die "the lab needs Debian 12 or 13, this is ${PRETTY_NAME:-an unknown system}:" \
		"use a container or VM of one of them, or build by hand from README.md, 'Building without the lab'" ;;
	esac
}

debian_codename() {
	case $(debian_release) in
	12) echo bookworm ;;
	13) echo trixie ;;
	esac
}

# The archive root and keyring of the machine's own Debian entry for suite $1.
debian_archive_of() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v suite="$1" '$2 == suite { print $1; exit }'
}

deb822_entry() { # TYPES URI SUITE
	printf '%s\\n' "Types: $1" "URIs: $2" "Suites: $3" "Components: main" \
		"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
}

# packages_add_sources: a deb822 file of our own that adds source packages, and backports on Debian 12.
packages_add_sources() {
	local release=$1 codename file text archive security

	codename=$(debian_codename)
	archive=$(debian_archive_of "$codename")
	security=$(debian_archive_of "$codename-security")
	[ -n "$archive" ] || die "no apt entry for suite '$codename' on this machine: add Debian's own, then try again"

	text="# Added by memtide's lab; 'lab clean --all' removes it.\n"
	if [ "$release" = 12 ]; then
		text+=$(deb822_entry "deb deb-src" "$archive" bookworm-backports)"\n\n"
	fi
	# Source packages of Debian 13 on both: backports' own sources are now and then missing from mirrors.
	text+=$(deb822_entry deb-src "$archive" trixie)"\n\n"
	[ -z "$security" ] || text+=$(deb822_entry deb-src "$security" trixie-security)"\n"
	file=/etc/apt/sources.list.d/memtide-lab.sources
	if ! printf '%b' "$text" | cmp -s - "$file"; then
		printf '%b' "$text" >"$file"
		return 0
	fi
	return 1
}

# packages_install: brings in what is missing; quick when nothing is.
packages_install() {
	local release want missing stamp spec name
	release=$(debian_release)
	want=$(printf '%s\n' $PACKAGES_BUILD $PACKAGES_QEMU $PACKAGES_RUN "$(packages_stock_headers)" | sort -u)
	stamp=$CACHE/packages.$(printf '%s' "$release $want" | sha256sum | cut -c1-12)
	missing=$(packages_missing "$release" $want)
	if packages_add_sources "$release" || [ ! -f "$stamp" ] || [ -n "$missing" ]; then
		logged "apt-get update" "$CACHE/logs/apt-update.log" apt-get update || exit 1
		missing=$(packages_missing "$release" $want)
	fi
	if [ -n "$missing" ]; then
		say "installing:" $missing
		if [ "$release" = 12 ]; then
			for spec in $PACKAGES_BACKPORTS_12; do
				name=${spec%%:*}
				[[ " $missing " != *" $name "* ]] || missing=" $missing " missing=${missing/ $name / $name/bookworm-backports }
			done
		fi
		# shellcheck disable=SC2086
		logged "apt-get install" "$CACHE/logs/apt-install.log" \
			apt-get install -y --no-install-recommends $missing || exit 1
	fi
	touch "$stamp"
}

# packages_need PACKAGE...: what a single suite needs, beyond what everything does.
packages_need() {
	local missing
	missing=$(packages_missing "$(debian_release)" "$@")
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086
	logged "installing $missing" "$CACHE/logs/apt-install.log" \
		apt-get install -y --no-install-recommends $missing || exit 1
}

# packages_missing RELEASE PACKAGE...: those that are not installed, or too old, on one line.
packages_missing() {
	local release=$1 name spec version
	shift
	for name in "$@"; do
		version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$name" 2>/dev/null) || version=
		case $version in
		installed\ *) version=${version#* } ;;
		*) printf '%s ' "$name"; continue ;;
		esac
		[ "$release" = 12 ] || continue
		for spec in $PACKAGES_BACKPORTS_12; do
			if [ "$name" = "${spec%%:*}" ] && dpkg --compare-versions "$version" lt "${spec##*:}"; then
				printf '%s ' "$name"
			fi
		done
	done
}

# The stock 6.12 kernel and its headers: what a user of the distribution has.
packages_stock_headers() {
	case $(debian_release) in
	12) echo linux-headers-6.12-amd64 ;;
	13) echo linux-headers-amd64 ;;
	esac
}
