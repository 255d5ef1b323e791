#!/bin/sh
# Install what the tests compare orlop with. As root on Debian; elsewhere those tests skip.
#
#     tests/peers.sh          what make test needs
#     tests/peers.sh bench    what make bench needs besides
#     tests/peers.sh venv     what python3 -m venv needs
set -eu

packages="skopeo umoci podman buildah containerd docker-registry debootstrap erofs-utils
          e2fsprogs xfsprogs zstd openssl util-linux containers-storage
          cryptsetup-bin fsverity squashfs-tools squashfs-tools-ng qemu-system-x86
          runc crun busybox-static golang-github-opencontainers-specs-dev"
case ${1:-} in
    bench) packages="$packages time $(command -v npm >/dev/null || echo npm)" ;;
    venv) packages="python3-venv" ;;
esac

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not root on Debian: tests that need peers or mounts will skip" >&2
    exit 0
fi
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
kernel=""
case $packages in *qemu-system-x86*)
    # What the machines of the tests boot: fetched, since installing it would touch the bootloader.
    [ "$(dpkg --print-architecture)" != amd64 ] || ls /var/cache/orlop/kernel/boot/vmlinuz-* >/dev/null 2>&1 ||
        kernel=" a kernel for virtual machines" ;;
esac
[ -z "$missing$kernel" ] && exit 0
echo "installing:$missing$kernel" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get install -y -qq --no-install-recommends $missing >/dev/null
[ -z "$kernel" ] || sh "$(dirname "$0")/../examples/microvm/fetch-kernel" /var/cache/orlop/kernel
# Debian starts docker-registry as a service where there is an init: the tests start their own.
if command -v systemctl >/dev/null && systemctl is-active -q docker-registry 2>/dev/null; then
    systemctl disable -q --now docker-registry
fi
