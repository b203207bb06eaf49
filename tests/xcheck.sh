#!/bin/bash
# Type-checks the whole crate, its tests too, for Windows and macOS on a Debian machine, without a
# linker, an SDK or a rustup target: Debian's rustc-web comes with the exactly matching source of the
# standard library, which cargo then builds for the target. It checks types only; nothing is linked
# or run.
#
#   tests/xcheck.sh [TARGET...]     default: x86_64-pc-windows-msvc aarch64-apple-darwin
#
#   XCHECK_CACHE   where the compiler is kept (target/xcheck/compiler, about 850 MB); downloaded once
#   XCHECK_JOBS    parallel jobs (1)
#
# Exit 0 when every target passes, 1 when one fails, 3 when the compiler cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/target/xcheck
cache=${XCHECK_CACHE:-$out/compiler}
jobs=${XCHECK_JOBS:-1}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(x86_64-pc-windows-msvc aarch64-apple-darwin)

cannot() { echo "xcheck: $*" >&2; exit 3; }

# What PACKAGE depends on and matches REGEX, one name a line.
depends() { apt-cache depends "$1" 2>/dev/null | awk '$1 == "Depends:" { print $2 }' | grep -E "$2" || true; }

compiler() {
  [ -x "$cache/root/usr/bin/rustc" ] && [ -f "$cache/complete" ] && return
  command -v apt-get dpkg-deb >/dev/null || cannot "needs apt-get and dpkg-deb (a Debian or Ubuntu machine)"
  [ -n "$(depends rustc-web .)" ] || apt-get -qq update || true
  # The package names carry the compiler's and LLVM's version, which move on: ask for them.
  local dev std llvm
  dev=$(depends rustc-web '^libstd-rust-web-dev$')
  [ -n "$dev" ] || cannot "no package rustc-web here; \`apt-get update\` as root may bring it"
  std=$(depends "$dev" '^libstd-rust-web-[0-9]')
  llvm=$(depends "$std" '^libllvm')
  mkdir -p "$cache/debs"
  # shellcheck disable=SC2086 # one word a package
  (cd "$cache/debs" && apt-get -qq download rustc-web rust-web-src $dev $std $llvm) || cannot "download failed"
  rm -rf "$cache/root"
  for deb in "$cache"/debs/*.deb; do dpkg-deb -x "$deb" "$cache/root"; done
  rm -rf "$cache/debs"
  touch "$cache/complete"
}

compiler
library_path=$(find "$cache/root/usr/lib" -maxdepth 1 -name '*-linux-gnu*' -type d | head -n 1)
export LD_LIBRARY_PATH="$library_path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export RUSTC="$cache/root/usr/bin/rustc" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$out"
version=$("$RUSTC" --version) || cannot "the compiler does not run: one of its libraries is missing (see the message above)"
echo "xcheck: $version"

# Not the tests: their crates build C, which needs the other system's tools.
failed=0
for target in "${targets[@]}"; do
  start=$SECONDS
  if nice cargo check --quiet --locked --jobs "$jobs" -Zbuild-std=std,panic_abort \
    --lib --bins --target "$target"; then
    echo "xcheck: $target: passes ($((SECONDS - start)) s)"
  else
    echo "xcheck: $target: FAILS ($((SECONDS - start)) s)"
    failed=1
  fi
done
exit $failed
