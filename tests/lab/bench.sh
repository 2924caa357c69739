# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What single benches need beyond what setup brings.

# bench_hooks_initrd OUT: a guest whose first process is the bench's own, with its libraries and policies.
bench_hooks_initrd() {
	local root library policy
	root=$(mktemp -d)
	mkdir "$root/policies"
	cp "$BUILD/tests/bench/hooks-guest" "$root/init"
	for policy in "$BUILD"/tests/bpf/*-minimal.bpf.o; do cp "$policy" "$root/policies/"; done
	ldd "$root/init" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root/${library%/*}"
		cp -L "$library" "$root/$library"
	done
	(cd "$root" && find . -print0 | sort -z | cpio --null --create --quiet --format=newc --owner=0:0 | gzip -1) >"$1"
	rm -rf "$root"
}

# bench_hooks ARGUMENTS...: needs the kernel once more, without the hooks.
bench_hooks() {
	local patched=$KERNEL_IMAGE
	kernel_build plain
	export LAB_PLAIN_KERNEL=$KERNEL_IMAGE/bzImage LAB_HOOKS_INITRD=$RUN/hooks-initrd
	KERNEL_IMAGE=$patched
	bench_hooks_initrd "$LAB_HOOKS_INITRD"
	"$BUILD/tests/bench/bench-hooks" "$@"
}
