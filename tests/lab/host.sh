# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The nested host: an outer VM with the lab kernel on the machine's own root file system, with a writable overlay
# in memory, in which QEMU runs guests with KVM, each in a cgroup of its own.

HOST_MEMORY_MIB=${LAB_HOST_MEMORY_MIB:-7168}

# host_run RUN COMMAND...: boots the host, runs COMMAND in it with the lab's environment, and returns its status.  RUN
# is a folder that both sides see; the host's kernel log ends up in RUN/host.log.  With HOST_LIMIT_S the host is ended
# after so many seconds, whatever it hangs in.
host_run() {
	local run=$1 disk
	local -a extra=()
	shift

	mkdir -p "$run"
	rm -f "$run/status"
	{
		declare -p REPO CACHE KERNEL_IMAGE QEMU_IMAGE INITRD BUILD ${LAB_TEST_TIMEOUT:+LAB_TEST_TIMEOUT} \
			${LAB_LIBVIRT:+LAB_LIBVIRT} ${LAB_LIBVIRTD:+LAB_LIBVIRTD} | sed 's/^declare -[-a-z]*/export/'
		printf 'cd %q\n' "$REPO"
		printf '%q ' "$@"
		echo
	} >"$run/command"
	for disk in ${HOST_DISKS:-}; do
		extra+=(-drive "if=virtio,format=raw,readonly=on,cache=unsafe,aio=threads,file=$disk")
	done
	${HOST_LIMIT_S:+timeout --foreground -k 10 "$HOST_LIMIT_S"} \
		"$QEMU_IMAGE/qemu-system-x86_64" "${QEMU_FIRMWARE[@]}" -name host -nodefaults -no-user-config -display none \
		-no-reboot -machine q35 -accel "$ACCEL" -cpu "$(accel_cpu)" -smp "$(host_cpus)" -m "$HOST_MEMORY_MIB" \
		-virtfs local,path=/,mount_tag=rootfs,security_model=none,readonly=on,multidevs=remap \
		-virtfs "local,path=$run,mount_tag=run,security_model=none,multidevs=remap" \
		-serial "file:$run/host.log" -device virtio-serial-pci \
		-chardev "stdio,id=console,signal=off" -device virtconsole,chardev=console "${extra[@]}" \
		-kernel "$KERNEL_IMAGE/bzImage" \
		-append "console=ttyS0 loglevel=5 panic=-1 mitigations=off ramdisk_size=524288 root=rootfs rootfstype=9p ro \
rootflags=trans=virtio,version=9p2000.L,cache=loose,msize=262144 init=$REPO/tests/lab/host-init" ||
		say "the host's QEMU ended with status $?"
	if [ ! -f "$run/status" ]; then
		say "the nested host ended without a result; the end of its console ($run/host.log):"
		tail -n 25 "$run/host.log" >&2
		return 1
	fi
	return "$(cat "$run/status")"
}

# Under emulation guests of a host with two CPUs are lost now and then (a triple fault, with and without our device).
host_cpus() { [ "$ACCEL" = kvm ] && echo 2 || echo "${LAB_HOST_CPUS:-1}"; }
