#!/usr/bin/env bash
# Installs what `cargo bench --bench compare` compares devtask with: into target/compare-tools, nothing
# globally but three Debian packages. Needs npm, python3, and root (or sudo) for apt. What cannot be had
# is said and left out; the bench leaves it out too.
set -uo pipefail
cd "$(dirname "$0")/../.."
prefix=$PWD/target/compare-tools
mkdir -p "$prefix/bin"

step() { printf '\n== %s\n' "$*"; }
missing() { printf -- '-- %s: cannot be had here, left out\n' "$1"; }

step "ninja, tup (which calls fusermount3): Debian"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
for pair in ninja:ninja-build tup:tup fusermount3:fuse3; do
    tool=${pair%%:*}
    command -v "$tool" >/dev/null || as_root apt-get install -y -q "${pair#*:}" || missing "$tool"
done

# No scripts of packages: they may download from elsewhere. The programs come as packages of their own.
npm_install() {
    npm install --prefix "$prefix/$1" --ignore-scripts --no-audit --no-fund --loglevel=error "$1@$2" || return
    ln -sf "../$1/node_modules/.bin/$1" "$prefix/bin/$1"
}
step "turbo, nx, wireit: npm"
for pair in turbo@2 nx@24 wireit@0.14; do
    npm_install "${pair%@*}" "${pair#*@}" || missing "${pair%@*}"
done

step "mise: npm, the package of this platform"
platform=$(node -p 'process.platform === "darwin" ? "macos" : process.platform')-$(node -p 'process.arch')
if npm install --prefix "$prefix/mise" --ignore-scripts --no-audit --no-fund --loglevel=error \
    "@jdxcode/mise-$platform"; then
    ln -sf "../mise/node_modules/@jdxcode/mise-$platform/bin/mise" "$prefix/bin/mise"
else
    missing mise
fi

step "doit, go-task: PyPI"
python3 -m venv "$prefix/python" || missing "a Python environment"
for pair in doit:doit go-task-bin:task; do
    "$prefix/python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "${pair%%:*}" \
        && ln -sf "../python/bin/${pair#*:}" "$prefix/bin/${pair#*:}" || missing "${pair%%:*}"
done

step "installed"
PATH=$prefix/bin:$PATH
for tool in ninja tup turbo nx wireit task mise doit; do
    printf '%-8s %s\n' "$tool" "$(command -v "$tool" || echo -)"
done
