#!/bin/sh
# The main job, step by step: pull an image into a store, look at it, mount it, run something of it,
# and copy it into an OCI layout.
#
#     first-steps.sh IMAGE        the layout is in ./demo; so is the store, or where ORLOP_ROOT and ORLOP_RUN say
set -eu

image=$1
export ORLOP_ROOT="${ORLOP_ROOT:-$PWD/demo/root}" ORLOP_RUN="${ORLOP_RUN:-$PWD/demo/run}"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
step() { say "$@"; "$@"; }

say orlop pull "$image"
id=$(orlop pull --quiet "$image")
echo "$id"
step orlop images
step orlop inspect "$id"
step orlop ls --long "$id" /

say orlop mount "$id"
rootfs=$(orlop mount "$id")
echo "$rootfs"
trap 'orlop umount "$id" 2>/dev/null || true' EXIT
step ls "$rootfs"
if [ -x "$rootfs/bin/busybox" ] && "$rootfs/bin/busybox" true 2>/dev/null; then
    say "$rootfs/bin/busybox sh -c 'echo \"hello from the image, on \$(uname -m)\"'"
    "$rootfs/bin/busybox" sh -c 'echo "hello from the image, on $(uname -m)"'
else
    echo "(its /bin/busybox is not there, or does not run on this machine)"
    step orlop cat "$id" /etc/os-release || true
fi
layout=$PWD/demo/layout
step orlop copy "store:$id" "oci:$layout:first"
step orlop layout ls "$layout"
step orlop df

cat <<EOF

The store is in $ORLOP_ROOT, the layout in $layout. The same with any other image:

    make run IMAGE=docker.io/library/alpine:latest
    make run IMAGE=oci:DIRECTORY:TAG

EOF
