# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# KVM or TCG?  That /dev/kvm opens proves little: there are machines on which no kernel boots on it.  So a kernel is
# booted for a few seconds, once per boot of the machine.

# accel_probe: needs QEMU_IMAGE and KERNEL_IMAGE; ACCEL is kvm or tcg afterwards.
accel_probe() {
	local file console
	if [ -n "${LAB_ACCEL:-}" ]; then
		ACCEL=$LAB_ACCEL
		return
	fi
	file=$CACHE/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -f "$file" ]; then
		ACCEL=tcg
		if [ -c /dev/kvm ]; then
			console=$(mktemp)
			# without an initial file system a kernel that works gets as far as "Unable to mount root fs"
			(timeout -s KILL 20 "$QEMU_IMAGE/qemu-system-x86_64" "${QEMU_FIRMWARE[@]}" -accel kvm -cpu host -m 256 \
				-nodefaults -display none -no-reboot -serial "file:$console" \
				-kernel "$KERNEL_IMAGE/bzImage" -append "console=ttyS0 panic=-1" >/dev/null 2>&1) 2>/dev/null || true
			! grep -q "Unable to mount root fs" "$console" || ACCEL=kvm
			rm -f "$console"
		fi
		rm -f "$CACHE"/accel-*
		echo "$ACCEL" >"$file"
	fi
	ACCEL=$(cat "$file")
}

# TCG moves a byte at a time for "rep movsb" and "rep stosb": the kernel copies several times as fast without them.
# With five levels of page tables KASAN reports an interrupt that comes while a kernel looks at its CPU's features again.
accel_cpu() { [ "$ACCEL" = kvm ] && echo host || echo max,la57=off,erms=off,fsrm=off; }

accel_say() {
	case $ACCEL in
	kvm) say "hardware virtualisation works: guests run on KVM" ;;
	tcg) say "no usable hardware virtualisation: guests run on TCG (emulation)" ;;
	esac
}
