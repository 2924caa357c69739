# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The distribution's own 6.12 kernel, for which the driver is built as a module from the same files.

# The newest stock 6.12 whose headers are installed.
stock_release() {
	local dir
	for dir in $(printf '%s\n' /lib/modules/6.12*/build | sort -rV); do
		[ ! -d "$dir/" ] || { basename "$(dirname "$dir")"; return; }
	done
}

# stock_image RELEASE: unpacks the kernel's package unless it is installed.  STOCK_KERNEL and STOCK_MODULES are set.
stock_image() {
	local release=$1 dir=$CACHE/stock/$1
	STOCK_KERNEL=/boot/vmlinuz-$release STOCK_MODULES=/lib/modules/$release/kernel
	[ ! -f "$STOCK_KERNEL" ] || [ ! -d "$STOCK_MODULES/drivers" ] || return 0
	if [ ! -f "$dir/boot/vmlinuz-$release" ]; then
		mkdir -p "$dir"
		(cd "$dir" && apt-get download "linux-image-$release" && dpkg-deb -x linux-image-*.deb . && rm ./*.deb) >&2 ||
			die "cannot download linux-image-$release with apt"
	fi
	STOCK_KERNEL=$dir/boot/vmlinuz-$release STOCK_MODULES=$(echo "$dir"/*lib/modules/"$release"/kernel)
	[ -d "$STOCK_MODULES" ] || STOCK_MODULES=$(find "$dir" -type d -path "*/modules/$release/kernel" -print -quit)
}

# stock_module RELEASE OUT: builds virtio_tide.ko against the stock headers, with sparse and all warnings as errors.
stock_module() {
	local release=$1 out=$2
	rm -rf "$out"
	mkdir -p "$out"
	cp -r "$REPO/guest-kernel" "$out/"
	make -C "/lib/modules/$release/build" M="$out/guest-kernel/drivers/virtio/tide" \
		CONFIG_VIRTIO_TIDE=m W=1 KCFLAGS=-Werror modules
}

# stock_build: kernel, module and initial file system; exports LAB_STOCK_KERNEL and LAB_STOCK_INITRD.
stock_build() {
	local release out=$RUN/stock
	release=$(stock_release)
	[ -n "$release" ] || die "no headers of a stock 6.12 kernel in /lib/modules: install $(packages_stock_headers)"
	stock_image "$release"
	logged "building the module for $release" "$CACHE/logs/stock-module.log" stock_module "$release" "$out" ||
		{ failed=$((failed + 1)); return 1; }
	passed=$((passed + 1))
	initrd_build "$RUN/stock-initrd" "$STOCK_MODULES" "$out/guest-kernel/drivers/virtio/tide/virtio_tide.ko"
	export LAB_STOCK_KERNEL=$STOCK_KERNEL LAB_STOCK_INITRD=$RUN/stock-initrd
}

suite_stock() {
	stock_build || return
	LAB_KERNEL=$LAB_STOCK_KERNEL LAB_INITRD=$LAB_STOCK_INITRD run_suite stock
}
