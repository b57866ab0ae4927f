#!/bin/bash
# build-image.sh OUT - a bootable Debian for the emulated machines, in about a minute and without
# KVM or loop mounts: OUT/base.qcow2, OUT/vmlinuz, OUT/initrd. Downloaded packages stay in OUT/debs.
# Environment: SUITE=bookworm|trixie. Needs root, mmdebstrap, e2fsprogs, qemu-utils, cpio.
set -euo pipefail
out=$1
here=$(cd "$(dirname "$0")" && pwd)
suite=${SUITE:-bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}
root=$out/rootfs
kernel=linux-image-cloud-amd64

# What install.sh needs is here already: emulated dpkg is slow, and the guests have no network.
packages="systemd systemd-sysv udev dbus kmod zstd procps util-linux iproute2 iputils-ping
  ca-certificates curl qemu-guest-agent e2fsprogs nfs-kernel-server
  podman crun conmon nftables iptables conntrack catatonit busybox-static nfs-common python3-venv
  apparmor runc"

mkdir -p "$out/debs"
rm -rf "$root"

# The kernel is unpacked, not installed: its postinst would make an initrd that nobody boots.
# --keep-directory-symlink, or the package's /lib would replace the link to /usr/lib.
cat > "$out/add-kernel" <<EOF2
set -eu
cd "\$1/var/cache/apt/archives"
export APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG
name=\$(apt-cache depends $kernel | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
ls "\$name"_*.deb >/dev/null 2>&1 || apt-get download -q "\$name"
dpkg-deb --fsys-tarfile "\$name"_*.deb | tar -xf - --keep-directory-symlink -C "\$1"
chroot "\$1" depmod "\$(ls "\$1/lib/modules")"
cp -aln ./*.deb "$out/debs/" || true
rm -f ./*.deb
rm -rf "\$1"/var/lib/apt/lists/*
EOF2
chmod +x "$out/add-kernel"

mmdebstrap --mode=root --variant=apt --architectures=amd64 \
  --include="$(echo $packages | tr -s ' \n' ,)" \
  --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt=force-unsafe-io --dpkgopt=force-confold \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --skip=check/empty --skip=cleanup/apt --skip=download/empty --skip=essential/unlink \
  --setup-hook='mkdir -p "$1"/var/cache/apt/archives; cp -al '"$out"'/debs/. "$1"/var/cache/apt/archives/' \
  --customize-hook="$out/add-kernel" \
  "$suite" "$root" "deb $mirror $suite main" "deb $mirror $suite-updates main" \
  "deb $mirror-security $suite-security main"

"$here/configure-rootfs.sh" "$root"
"$here/make-initrd.sh" "$root" "$out"
rm -f "$out/base.raw" "$out/base.qcow2"
truncate -s 6G "$out/base.raw"
# No lazy initialisation: the first boot would write in the background while it is measured.
mkfs.ext4 -q -F -L root -m 0 -O ^metadata_csum_seed \
  -E lazy_itable_init=0,lazy_journal_init=0,nodiscard -d "$root" "$out/base.raw"
qemu-img convert -O qcow2 "$out/base.raw" "$out/base.qcow2"
rm -rf "$out/base.raw" "$root" "$out/add-kernel"
