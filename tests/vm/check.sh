#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tests cages on Debian 12's own kernel, with a cgroup v2 that is the machine's only one.
#   tests/vm/check.sh BUILD
# Boots the kernel in qemu: with KVM where that works, else in emulation. The machine's root is this machine's, read-only, by 9p;
# what is written goes to file systems in the virtual machine's memory. tests/vm/guest.sh runs in it, once with Landlock and once
# without. The exit status is 0 when both times all tests passed. build-vm keeps what was downloaded.
set -eu

build=$1
place=build-vm
machine=
# In the order in which they need each other. All else that a boot needs is in the kernel.
modules='virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p'

# Downloads a package, unless it is there, and unpacks it to $place/NAME.
unpack() {
	[ ! -d "$place/$1" ] || return 0
	rm -rf "$place/new"
	mkdir -p "$place/new"
	(cd "$place/new" && apt-get -q -o APT::Sandbox::User="$(id -un)" download "$1" && dpkg-deb -x ./*.deb . && rm ./*.deb)
	mv "$place/new" "$place/$1"
}

# The first file system: busybox, the modules, and init.
pack() {
	rm -rf "$place/first"
	mkdir -p "$place/first/bin" "$place/first/modules" "$place/first/root" "$place/first/proc"
	cp "$place/busybox-static/bin/busybox" "$place/first/bin"
	for module in $modules; do
		find "$place/$kernel/lib/modules" -name "$module.ko" -exec cp {} "$place/first/modules" \;
	done
	{
		printf '#!/bin/busybox sh\nmodules="%s" tree="%s" build="%s"\n' "$modules" "$(pwd)" "$build"
		cat tests/vm/init.sh
	} > "$place/first/init"
	chmod +x "$place/first/init"
	(cd "$place/first" && find . | cpio --quiet -o -H newc) | gzip -1 > "$place/initrd"
}

# boot ACCELERATOR SECONDS [WORD for the kernel or init]. The machine ends with init, and when the kernel panics (-no-reboot).
boot() {
	timeout "$2" qemu-system-x86_64 -accel "$1" -cpu max,-arch-capabilities -smp 2 -m 2G -nodefaults -no-reboot -display none \
		-chardev stdio,id=console,signal=off,logfile="$place/console.log" -serial chardev:console \
		-kernel "$place/$kernel/boot/vmlinuz-${kernel#linux-image-}" -initrd "$place/initrd" \
		-append "console=ttyS0 quiet panic=-1 random.trust_cpu=on ${3-}" \
		-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
		< /dev/null 2> "$place/qemu.log" &
	machine=$!
	wait $machine || true
	machine=
}

# said WORDS: what the machine said after these.
said() {
	tr -d '\r' < "$place/console.log" | sed -n "s/^check-vm: $1 *//p" | tail -n 1
}

# test_in SECONDS [WORD for the kernel]
test_in() {
	boot $accelerator "$@"
	status=$(said 'exit status')
	[ -n "$status" ] || { cat "$place/qemu.log" >&2; echo "check-vm: the tests did not end within $1 s" >&2; exit 1; }
	[ "$status" = 0 ] || exit "$status"
}

trap '[ -z "$machine" ] || kill $machine; exit 143' INT TERM
kernel=$(apt-cache depends --important linux-image-amd64 | sed -n 's/^ *Depends: //p')
[ -n "$kernel" ] || { echo 'check-vm: apt knows no linux-image-amd64' >&2; exit 1; }
unpack "$kernel"
unpack busybox-static
pack

# Where /dev/kvm is, a machine may still not start: this machine may be a virtual one itself.
accelerator=tcg
if [ -w /dev/kvm ]; then
	boot kvm 20 probe > /dev/null
	[ -z "$(said init)" ] || accelerator=kvm
fi
echo "check-vm: boots $kernel in qemu ($accelerator)"
test_in 900
test_in 180 lsm=capability
