# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The guests' whole user space: busybox, our agent, and the kernel modules that tests load.

# Modules that are put into /modules, where the kernel has them.
INITRD_MODULES="virtio_tide virtio_balloon virtio virtio_ring virtio_pci virtio_pci_legacy_dev
	virtio_pci_modern_dev virtio_console virtio_blk"

# initrd_build OUT MODULE-DIR [MODULE-FILE...]: files given by name win over those of the folder.
initrd_build() {
	local out=$1 modules=$2 root name file
	shift 2
	root=$(mktemp -d)
	mkdir -p "$root/bin" "$root/modules"
	cp /bin/busybox "$root/bin/busybox"
	cp "$REPO/tests/guest/init" "$root/init"
	chmod 755 "$root/init"
	gcc -O2 -Wall -Wextra -Wno-unused-parameter -static -I "$REPO/guest-kernel/include/uapi" -o "$root/agent" \
		"$REPO"/tests/guest/*.c -lm || die "cannot compile the guest agent"
	for name in $INITRD_MODULES; do
		file=$(find "$modules" -name "$name.ko*" -print -quit)
		case $file in
		*.ko.xz) xz -dc "$file" >"$root/modules/$name.ko" ;;
		*.ko) cp "$file" "$root/modules/" ;;
		esac
	done
	[ $# = 0 ] || cp "$@" "$root/modules/"
	(cd "$root" && find . -print0 | sort -z | cpio --null --create --quiet --format=newc --owner=0:0 | gzip -1) \
		>"$out.new"
	mv "$out.new" "$out"
	rm -rf "$root"
}

# initrd_for_image: the initial file system for the lab kernel, kept beside it.  INITRD is its place afterwards.
initrd_for_image() {
	local key
	key=$(tree_hash tests/guest tests/lab/initrd.sh guest-kernel/include)
	INITRD=$KERNEL_IMAGE/initrd-$key
	[ -f "$INITRD" ] || initrd_build "$INITRD" "$KERNEL_IMAGE/lib/modules"
}
