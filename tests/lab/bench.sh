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

# bench_hooks_setup: the kernel once more, without the hooks, and the guest's initial file system.
bench_hooks_setup() {
	local patched=$KERNEL_IMAGE
	kernel_build plain
	export LAB_PLAIN_KERNEL=$KERNEL_IMAGE/bzImage LAB_HOOKS_INITRD=$RUN/hooks-initrd
	KERNEL_IMAGE=$patched
	bench_hooks_initrd "$LAB_HOOKS_INITRD"
}

# bench_ksm [--json FILE] [--seconds N]: where the hooks are.
bench_ksm() {
	local json='' status=0
	local -a args=()
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=$(realpath -m "${2:?--json needs a file}"); shift ;;
		--seconds) args+=(--seconds "${2:?--seconds needs a number}"); shift ;;
		*) die "bench ksm: unknown option '$1', see './lab bench --help'" ;;
		esac
		shift
	done
	setup
	accel_say
	host_run "$RUN/host" "$REPO/tests/lab/in-host" "$BUILD/tests/bench/bench-ksm" "${args[@]}" \
		${json:+--json /run/lab/ksm.json} </dev/null || status=$?
	[ -z "$json" ] || [ ! -f "$RUN/host/ksm.json" ] || cp "$RUN/host/ksm.json" "$json"
	return "$status"
}
