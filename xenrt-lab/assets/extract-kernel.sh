#!/bin/sh
# Takes the ELF kernel out of a bzImage ($1) and writes it to $2, so that nothing is unpacked under
# emulation at each boot (10 s), and because Xen's PVH loader wants an ELF.
#
# The layout is in the Linux x86 boot protocol: setup_sects at 0x1f1 (0 means 4), payload_offset at
# 0x248 and payload_length at 0x24c, counted from the end of the setup sectors.
set -eu
field() { od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }

sectors=$(field "$1" 497 1)
[ "$sectors" -ne 0 ] || sectors=4
offset=$(field "$1" 584 4)
length=$(field "$1" 588 4)
start=$(((sectors + 1) * 512 + offset))

magic=$(od -An -t x1 -j $start -N 4 "$1" | tr -d ' ')
case $magic in
fd377a58) unpack='xz -dc' ;;
1f8b*) unpack='gzip -dc' ;;
28b52ffd) unpack='zstd -dc' ;;
*) echo "$1: unknown kernel compression, it begins with $magic" >&2; exit 1 ;;
esac
# xz and gzip complain about the four bytes of size that follow; the ELF check below decides.
tail -c +$((start + 1)) "$1" | head -c "$length" | $unpack > "$2" 2>/dev/null || :
case $(od -An -t x1 -N 4 "$2" | tr -d ' ') in
7f454c46) ;;
*) echo "$1: no ELF kernel inside" >&2; exit 1 ;;
esac
