#!/usr/bin/env bash
# The README's two commands, npm ci and npm test, as on a new machine: in a fresh clone, with a PATH that holds only Node,
# npm, a shell, coreutils and `ip`, and an environment that has nothing else. So there is no compiler, git, python3 or ping.
#
#   scripts/bare-test.sh [--as USER] [COMMAND…]
#
#   --as USER   runs as this user (needs root), for example nobody
#   COMMAND…    what to run after npm ci; default: npm test
#
# What is committed is tested. The folder of public vectors, if there is one (docs/testing.md), is linked beside the clone.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)

user=
if [ "${1-}" = --as ]; then
  user=$2
  shift 2
fi
[ $# -gt 0 ] || set -- npm test

work=$(mktemp -d /tmp/esplane-bare.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # some tests give up their rights
mkdir "$work/bin" "$work/home"

link() { ln -s "$(command -v "$1")" "$work/bin/$1"; }
for program in sh node npm npx ip; do link "$program"; done
# coreutils, from its own list: `[`, `cat`, `env` and a hundred others.
for path in $(dpkg -L coreutils | grep -E '^(/usr)?/s?bin/.'); do
  ln -sf "$path" "$work/bin/${path##*/}"
done

# The checkout may be another user's.
git config --file "$work/gitconfig" safe.directory '*'
GIT_CONFIG_GLOBAL=$work/gitconfig git clone -q "$project" "$work/esplane"
vectors=$(dirname "$project")/shared
[ ! -e "$vectors" ] || ln -s "$vectors" "$work/shared"

as=()
if [ -n "$user" ]; then
  chown -R "$user" "$work"
  as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
fi

# What reaches the registry comes along: certificates and proxies.
pass=()
while IFS= read -r line; do pass+=("$line"); done < <(env | grep -iE '^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|https?_proxy|no_proxy|npm_config_registry)=' || true)

cd "$work/esplane"
"${as[@]}" env -i PATH="$work/bin" HOME="$work/home" LANG=C.UTF-8 NO_COLOR=1 "${pass[@]}" \
  "$work/bin/sh" -ec 'npm ci --no-audit --no-fund --loglevel=error; "$@"' sh "$@"
