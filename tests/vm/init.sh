# SPDX-License-Identifier: Apache-2.0
# The virtual machine's init: loads modules, mounts what the tests need, runs them, and says how they ended.
# check.sh sets $modules, $tree and $build.
run() {
	/bin/busybox "$@" || { echo "check-vm: failed: $*"; /bin/busybox poweroff -f; }
}

run mount -t proc proc /proc
echo "check-vm: init runs"
! /bin/busybox grep -qw probe /proc/cmdline || run poweroff -f
for module in $modules; do
	run insmod "/modules/$module.ko"
done
run mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose host /root
run mount -t devtmpfs devtmpfs /root/dev
run mkdir -p /root/dev/shm
for directory in tmp run var/tmp dev/shm; do
	run mount -t tmpfs -o mode=1777 tmpfs "/root/$directory"
done
run mount -t proc proc /root/proc
run mount -t sysfs sysfs /root/sys
run mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
run ip link set lo up
/bin/busybox chroot /root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 \
	PYTHONDONTWRITEBYTECODE=1 OBJPOOL_BUILD="$build" OBJPOOL_TEST_DEADLINE=120 sh -c "cd '$tree' && exec sh tests/vm/guest.sh"
echo "check-vm: exit status $?"
run poweroff -f
