# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The lab kernel: Debian's 6.12 source, our overlays and patches, one image for host and guests.  The debug
# flavour adds KASAN, lockdep and friends; the plain one has nothing of host-kernel, for comparisons.

KERNEL_OVERLAYS_PLAIN=(guest-kernel/drivers:drivers guest-kernel/include:include)
KERNEL_OVERLAYS=("${KERNEL_OVERLAYS_PLAIN[@]}" host-kernel/mm:mm host-kernel/include:include)

kernel_source_version() { apt-cache policy linux-source-6.12 | awk '/Candidate:/ { print $2 }'; }

# kernel_tree FLAVOUR VERSION: unpacks and configures a tree if there is none; prints its place.
kernel_tree() {
	local flavour=$1 version=$2 key tree work
	key=$(printf '%s' "$version $(kernel_config "$flavour" | sha256sum) $(gcc -dumpfullversion)" | sha256sum | cut -c1-12)
	tree=$CACHE/trees/kernel-$flavour-$key
	if [ ! -d "$tree" ]; then
		work=$(mktemp -d "$CACHE/trees/.unpack.XXXXXX")
		(cd "$work" && apt-get download "linux-source-6.12=$version") >&2 ||
			die "cannot download linux-source-6.12 $version with apt"
		dpkg-deb -x "$work"/linux-source-6.12_*.deb "$work/deb"
		mkdir "$work/src" "$work/build"
		tar -xf "$work"/deb/usr/src/linux-source-6.12.tar.* -C "$work/src" --strip-components=1
		rm -rf "$work/deb" "$work"/*.deb
		kernel_config "$flavour" >"$work/config"
		make -s -C "$work/src" O="$work/build" tinyconfig
		"$work/src/scripts/kconfig/merge_config.sh" -m -O "$work/build" "$work/build/.config" "$work/config" >/dev/null
		chmod 755 "$work"
		mv -T "$work" "$tree"
		# keep the newest other tree of this flavour: it may be another branch's
		# shellcheck disable=SC2012
		ls -dt "$CACHE/trees/kernel-$flavour"-*/ | tail -n +3 | xargs -r rm -rf
	fi
	echo "$tree"
}

kernel_config() {
	case $1 in
	plain) grep -v '^CONFIG_TIDE=' "$REPO/tests/lab/config/kernel.config" ;;
	*) cat "$REPO/tests/lab/config/kernel.config" ;;
	esac
	[ "$1" != debug ] || cat "$REPO/tests/lab/config/debug.config"
}

# kernel_parts FLAVOUR: what of the repository a kernel is made of.
kernel_parts() { [ "$1" = plain ] && echo guest-kernel || echo guest-kernel host-kernel; }

# kernel_configure TREE: completes the configuration and fails when a line of ours did not take.
kernel_configure() {
	local tree=$1 line missing=0
	kernel_make "$tree" olddefconfig || return
	while read -r line; do
		[[ $line =~ ^(CONFIG_|#\ CONFIG_) ]] || continue
		grep -qxF -- "$line" "$tree/build/.config" || { echo "did not take: $line"; missing=1; }
	done <"$tree/config"
	return "$missing"
}

kernel_make() {
	local tree=$1
	shift
	env CCACHE_DIR="$CACHE/ccache" CCACHE_MAXSIZE=8G CCACHE_BASEDIR="$tree" CCACHE_NOHASHDIR=1 \
		KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=memtide KBUILD_BUILD_HOST=lab \
		make -C "$tree/src" O="$tree/build" CC="ccache gcc" HOSTCC="ccache gcc" LOCALVERSION= -j"$(nproc)" "$@"
}

kernel_stage() {
	local tree=$1 staging=$2
	cp "$tree/build/arch/x86/boot/bzImage" "$staging/bzImage"
	cp "$tree/build/vmlinux" "$staging/vmlinux"
	kernel_make "$tree" -s INSTALL_MOD_PATH="$staging" INSTALL_MOD_STRIP=1 modules_install
	make -s -C "$tree/build" kernelrelease >"$staging/release"
}

# kernel_build [FLAVOUR]: brings the image up to date.  KERNEL_IMAGE is its place afterwards.
kernel_build() {
	local flavour=${1:-lab} version key tree staging parts part
	local -a overlays=("${KERNEL_OVERLAYS[@]}")
	version=$(kernel_source_version)
	[ -n "$version" ] && [ "$version" != "(none)" ] || die "apt offers no linux-source-6.12: run 'apt-get update'"
	read -ra parts <<<"$(kernel_parts "$flavour")"
	[ "$flavour" != plain ] || overlays=("${KERNEL_OVERLAYS_PLAIN[@]}")
	key=$(printf '%s' "$version $(gcc -dumpfullversion) $(kernel_config "$flavour" | sha256sum)" \
		"$(tree_hash "${parts[@]}" tests/lab/kernel.sh)" | sha256sum | cut -c1-16)
	KERNEL_IMAGE=$CACHE/images/kernel-$flavour-$key
	[ ! -d "$KERNEL_IMAGE" ] || return 0

	tree_lock "kernel-$flavour"
	mkdir -p "$CACHE/images"
	say "building the $flavour kernel from linux-source-6.12 $version"
	tree=$(kernel_tree "$flavour" "$version")
	tree_overlay "$tree" "${overlays[@]}"
	for part in "${parts[@]}"; do tree_patch "$tree" "$part/patches/6.12"; done
	logged "configuring the kernel" "$CACHE/logs/kernel-$flavour-config.log" kernel_configure "$tree" || exit 1
	logged "compiling the kernel" "$CACHE/logs/kernel-$flavour.log" \
		kernel_make "$tree" bzImage modules || exit 1
	staging=$(mktemp -d "$CACHE/images/.kernel.XXXXXX")
	chmod 755 "$staging"
	logged "collecting the kernel" "$CACHE/logs/kernel-$flavour-install.log" kernel_stage "$tree" "$staging" || exit 1
	image_publish "kernel-$flavour" "$key" "$staging"
	tree_unlock
}
