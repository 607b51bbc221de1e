#!/bin/sh
# Makes the Debian packages `subrosa` and `subrosa-relay` from built binaries, with man pages and completions.
#
#   cargo build --release -p subrosa -p subrosa-relay && deploy/debian/build.sh target/release target/debian
set -eu

binaries=${1:?usage: build.sh BINARIES OUTPUT}
output=${2:?usage: build.sh BINARIES OUTPUT}
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$("$binaries/subrosa-relay" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
maintainer="Subrosa developers <subrosa@localhost.invalid>"
# The same sources make the same package.
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2> /dev/null || date +%s)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$output"

# tree PROGRAM SUMMARY DESCRIPTION: what both packages have.
tree() {
    dir=$work/$1
    install -D -m 755 "$binaries/$1" "$dir/usr/bin/$1"
    # Debug information is of no use to who installs a package.
    strip --strip-unneeded "$dir/usr/bin/$1"
    install -d "$dir/usr/share/man/man1" "$dir/usr/share/doc/$1" "$dir/usr/share/bash-completion/completions" \
        "$dir/usr/share/zsh/vendor-completions" "$dir/usr/share/fish/vendor_completions.d" "$dir/DEBIAN"
    "$binaries/$1" man "$dir/usr/share/man/man1" > /dev/null
    gzip -9n "$dir"/usr/share/man/man1/*.1
    "$binaries/$1" completions bash > "$dir/usr/share/bash-completion/completions/$1"
    "$binaries/$1" completions zsh > "$dir/usr/share/zsh/vendor-completions/_$1"
    "$binaries/$1" completions fish > "$dir/usr/share/fish/vendor_completions.d/$1.fish"
    {
        printf 'Subrosa may be used under either of two licenses: Apache-2.0, whose text is in\n'
        printf '/usr/share/common-licenses/Apache-2.0, or the MIT license:\n\n'
        cat "$root/LICENSE-MIT"
    } > "$dir/usr/share/doc/$1/copyright"
    cp "$root/CHANGELOG.md" "$dir/usr/share/doc/$1/"
    {
        printf '%s (%s) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md.\n\n' "$1" "$version"
        printf ' -- %s  %s\n' "$maintainer" "$(LC_ALL=C date -u -R -d "@$epoch")"
    } | gzip -9n > "$dir/usr/share/doc/$1/changelog.gz"
    # What the binary needs is what it is linked with: the C library.
    libc=$(dpkg-query -W -f '${Version}' libc6 | sed 's/-.*//')
    cat > "$dir/DEBIAN/control" <<CONTROL
Package: $1
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: net
Priority: optional
Depends: libc6 (>= $libc), libgcc-s1, ca-certificates
Description: $2
$(printf '%s\n' "$3" | fold -s -w 75 | sed 's/ *$//; s/^/ /')
CONTROL
}

package() {
    dpkg-deb --root-owner-group --build "$work/$1" "$output/$1_${version}_$architecture.deb"
}

tree subrosa "end-to-end encrypted messenger for the terminal" "One program for people, with an interface for the terminal, and for \
scripts, with a verb for everything and JSON. Messages are encrypted on this machine for the devices of who they are for; the \
relay between them, which anybody can host, cannot read them."
package subrosa

tree subrosa-relay "blind relay of the Subrosa messenger" "Keeps sealed envelopes until the receiving device has fetched them. It cannot \
open them, and does not know who sent them. The service makes a key or gets a certificate for its name by itself, and is told who \
may register."
relay=$work/subrosa-relay
cp "$root/docs/operating.md" "$relay/usr/share/doc/subrosa-relay/"
cp "$root/deploy/grafana/subrosa-relay.json" "$relay/usr/share/doc/subrosa-relay/"
install -D -m 644 -t "$relay/usr/lib/systemd/system" "$root"/deploy/systemd/subrosa-relay.service \
    "$root"/deploy/systemd/subrosa-relay.socket
install -D -m 644 "$root/deploy/debian/relay.toml" "$relay/etc/subrosa-relay/relay.toml"
echo /etc/subrosa-relay/relay.toml > "$relay/DEBIAN/conffiles"
for script in postinst prerm; do
    install -m 755 "$root/deploy/debian/$script" "$relay/DEBIAN/$script"
done
package subrosa-relay
