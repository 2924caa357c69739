# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The lab's QEMU: Debian's 10.0 source, our device and patches, x86_64 only and with few features.  tests/lab/qemu has what
# only the lab needs: mends of the emulation in which the nested host runs.

QEMU_OVERLAYS=(vmm/qemu/hw:hw vmm/qemu/include:include
	guest-kernel/include/uapi/linux/virtio_tide.h:include/standard-headers/linux/virtio_tide.h)

# Firmware comes from the distribution's packages; the source package has none.
# shellcheck disable=SC2034
QEMU_FIRMWARE=(-L /usr/share/seabios -L /usr/share/qemu)

# The newest 10.0 among the source packages that apt knows.
qemu_source_version() {
	apt-cache showsrc --only-source qemu 2>/dev/null | awk '/^Version: 1:10\.0\./ { print $2 }' | sort -rV | uniq
}

# qemu_download DIR: some mirrors list sources that they no longer have, so the next older one is tried.
qemu_download() {
	local version
	for version in $(qemu_source_version); do
		if (cd "$1" && apt-get source --download-only "qemu=$version") >&2; then
			return 0
		fi
		rm -f "$1"/*
	done
	die "cannot download the source of QEMU 10.0 with apt"
}

qemu_configure_options() {
	printf '%s\n' --target-list=x86_64-softmmu --without-default-features --enable-kvm --enable-tcg --enable-virtfs \
		--enable-attr --enable-fdt=system --disable-install-blobs --disable-docs --disable-werror --python=/usr/bin/python3
}

# qemu_tree: unpacks and configures a tree if there is none; prints its place.
qemu_tree() {
	local key tree work
	key=$(printf '%s' "$(qemu_source_version) $(qemu_configure_options) $(gcc -dumpfullversion)" | sha256sum | cut -c1-12)
	tree=$CACHE/trees/qemu-$key
	if [ ! -d "$tree" ]; then
		work=$(mktemp -d "$CACHE/trees/.unpack.XXXXXX")
		mkdir "$work/deb" "$work/build"
		qemu_download "$work/deb"
		# dpkg-source applies the package's own series: with it configure does without the firmware blobs
		dpkg-source --no-check -x "$work"/deb/*.dsc "$work/src" >&2
		cp "$work"/deb/*.dsc "$work/"
		rm -r "$work/deb"
		chmod 755 "$work"
		mv -T "$work" "$tree"
		# shellcheck disable=SC2012
		ls -dt "$CACHE/trees/qemu"-*/ | tail -n +3 | xargs -r rm -rf
	fi
	echo "$tree"
}

qemu_configure() {
	local tree=$1
	cd "$tree/build" || return
	# shellcheck disable=SC2046
	env CCACHE_DIR="$CACHE/ccache" CC="ccache gcc" CXX="ccache g++" ../src/configure $(qemu_configure_options)
}

qemu_make() {
	env CCACHE_DIR="$CACHE/ccache" CCACHE_BASEDIR="$1" CCACHE_NOHASHDIR=1 \
		ninja -C "$1/build" qemu-system-x86_64
}

# qemu_build: brings the image up to date.  QEMU_IMAGE is its place afterwards.
qemu_build() {
	local key tree staging
	[ -n "$(qemu_source_version)" ] || die "apt offers no source of QEMU 10.0: run 'apt-get update'"
	key=$(printf '%s' "$(qemu_source_version) $(gcc -dumpfullversion) $(qemu_configure_options)" \
		"$(tree_hash vmm/qemu guest-kernel/include/uapi tests/lab/qemu.sh tests/lab/qemu)" | sha256sum | cut -c1-16)
	QEMU_IMAGE=$CACHE/images/qemu-$key
	[ ! -d "$QEMU_IMAGE" ] || return 0

	tree_lock qemu
	mkdir -p "$CACHE/images"
	tree=$(qemu_tree)
	say "building QEMU in $tree"
	tree_overlay "$tree" "${QEMU_OVERLAYS[@]}"
	tree_patch "$tree" vmm/qemu/patches/10.0
	tree_patch "$tree" tests/lab/qemu
	if [ ! -f "$tree/build/build.ninja" ]; then
		logged "configuring QEMU" "$CACHE/logs/qemu-config.log" qemu_configure "$tree" || exit 1
	fi
	logged "compiling QEMU" "$CACHE/logs/qemu.log" qemu_make "$tree" || exit 1
	staging=$(mktemp -d "$CACHE/images/.qemu.XXXXXX")
	chmod 755 "$staging"
	install -s "$tree/build/qemu-system-x86_64" "$staging/"
	image_publish qemu "$key" "$staging"
	tree_unlock
}
