#!/usr/bin/env bash
# One real Elasticsearch on loopback for tests. Takes orders on standard input (start, stop, kill, freeze, thaw), answers
# each with one line ("done", or "failed" or "missing" with the reason), and when its input ends, however that comes, ends
# Elasticsearch and removes its data: a test process that holds the pipe leaves nothing behind.
#
#   bash tests/elastic/cluster.sh PORT [false]     false: without security, else user elastic, password changeme
#
# By hand: type start; Ctrl-D ends it. FLEET_TEST_ELASTICSEARCH=http://127.0.0.1:PORT lets tests use it.
set -euo pipefail
umask 022
port=${1:?usage: cluster.sh PORT [SECURITY]}
security=${2:-true}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's/.*<elasticsearch.version>\(.*\)<.*/\1/p' "$here/pom.xml")
as=()
run='' pid=''
java_options=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m)

say() { printf '%s\n' "$*"; }
refuse() { say "missing $*"; exit 1; }

# Elasticsearch refuses to run as root: it runs as nobody then, who must be able to read the folder.
choose_cache() {
  cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/fleet-server-tests
  if ((EUID == 0)); then
    cache=/var/tmp/fleet-server-tests
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
  mkdir -p "$cache"
  # what is run from there must be ours
  [[ -O $cache ]] || refuse "a folder of our own: $cache is somebody else's"
}

find_java() {
  local home major
  for home in "${ES_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*; do
    [[ -x $home/bin/java && -r $home/release ]] || continue
    major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    if ((${major:-0} >= 21)); then
      export ES_JAVA_HOME=$home
      return
    fi
  done
  refuse 'a JDK of version 21 or later (ES_JAVA_HOME, JAVA_HOME, or in /usr/lib/jvm)'
}

# Once per machine; what is there is complete, since it is moved there last.
unpack() {
  export ES_HOME=$cache/elasticsearch-$version
  [[ -d $ES_HOME ]] && return
  local parts=$cache/unpacking log=$cache/unpack.log
  exec 9>"$cache/unpack.lock"
  flock 9
  if [[ ! -d $ES_HOME ]]; then
    rm -rf "$parts"
    timeout 900 mvn -q -B -f "$here/pom.xml" -DoutputDirectory="$parts" dependency:unpack >"$log" 2>&1 </dev/null ||
      refuse "Elasticsearch $version, which Maven did not bring: $(tail -n 1 "$log")"
    mv "$parts"/*/elasticsearch "$parts/home"
    mkdir -p "$parts/home/plugins" "$parts/home/logs"
    mv "$parts/home" "$ES_HOME"
    rm -rf "$parts"
  fi
  exec 9>&-
}

# In memory where there is room: what is tested survives a process, not a machine, and each new index syncs many files.
make_data() {
  local memory=/dev/shm free
  free=$(df --output=avail -B 1M "$memory" 2>/dev/null | tail -n 1) || free=0
  if [[ -w $memory ]] && ((free >= 2048)); then
    ln -s "$(mktemp -d "$memory/fleet-server-tests.XXXXXX")" "$run/data"
  else
    mkdir "$run/data"
  fi
}

# A run with its data.
remove() {
  [[ ! -L $1/data ]] || rm -rf "$(readlink "$1/data")"
  rm -rf "$1" || rm -rf "$1"
}

# What a keeper that was killed itself has left behind.
clear_away() {
  local old orphan
  for old in "$cache"/run.*; do
    [[ -d $old ]] || continue
    (
      exec 7>"$old/lock"
      flock -n 7 || exit 0
      orphan=$(cat "$old/pid" 2>/dev/null) && grep -qsF "$old/" "/proc/$orphan/cmdline" && kill -KILL "$orphan"
      remove "$old"
    ) || true
  done
}

make_run() {
  run=$(mktemp -d "$cache/run.XXXXXX")
  exec 8>"$run/lock"
  flock 8
  mkdir "$run"/{logs,tmp}
  make_data
  cp -R "$ES_HOME/config" "$run/config"
  cat >"$run/config/elasticsearch.yml" <<SETTINGS
cluster.name: test
node.name: n1
path.data: $run/data
path.logs: $run/logs
network.host: 127.0.0.1
http.port: $port
transport.port: 0
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: $security
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
SETTINGS
  # a third of the memory of Elastic's own set; no log of collections, no heap dump
  sed -i -e '/^-Xlog:gc/d' -e '/HeapDump/d' -e '/ErrorFile/d' -e 's/^-XX:+UseG1GC/-XX:+UseSerialGC/' \
    "$run/config/jvm.options"
  if ((EUID == 0)); then
    chmod 755 "$run"
    chown -R 65534:65534 "$run" "$run/data/"
  fi
  export ES_PATH_CONF=$run/config ES_TMPDIR=$run/tmp ES_DISTRIBUTION_TYPE=zip JAVA_TYPE=ES_JAVA_HOME HOSTNAME=localhost \
    JAVA=$ES_JAVA_HOME/bin/java CLI_JAVA_OPTS="${java_options[*]}" \
    ES_JAVA_OPTS='-Xms128m -Xmx512m -XX:-AlwaysPreTouch -XX:TieredStopAtLevel=1'
  unset JAVA_TOOL_OPTIONS _JAVA_OPTIONS JAVA_OPTS
  [[ $security == false ]] || set_password
}

set_password() {
  printf changeme | (
    cd "$ES_HOME"
    "${as[@]}" "$JAVA" "${java_options[@]}" -cp "$ES_HOME/lib/*:$ES_HOME/lib/cli-launcher/*" \
      -Dcli.name=keystore -Dcli.script=bin/elasticsearch-keystore -Dcli.libs=lib/tools/keystore-cli \
      -Des.path.home="$ES_HOME" -Des.path.conf="$ES_PATH_CONF" -Des.distribution.type=zip \
      -Des.java.type=ES_JAVA_HOME org.elasticsearch.launcher.CliToolLauncher add -x -f bootstrap.password
  ) >"$run/logs/keystore.out" 2>&1
}

start() {
  [[ -n $run ]] || make_run
  local out=$run/logs/start.out
  if (
    cd "$ES_HOME"
    exec timeout 120 "${as[@]}" "$JAVA" "${java_options[@]}" -cp "$ES_HOME/lib/tools/server-launcher/*" \
      org.elasticsearch.server.launcher.ServerLauncher -d -p "$run/pid"
  ) >"$out" 2>&1 </dev/null; then
    pid=$(cat "$run/pid")
    say 'done'
  else
    say "failed $(grep -m 1 -iE 'exception|error' "$out" || tail -n 1 "$out")"
  fi
}

# A process that nobody has waited for stays as one thread in state Z; with more threads it still holds its port.
is_running() {
  local state threads
  read -r _ _ state _ <"/proc/$pid/stat" || return
  threads=("/proc/$pid/task"/*)
  [[ $state != Z ]] || ((${#threads[@]} > 1))
} 2>/dev/null

# Until it is gone: its port and its data are free then.
end() {
  local left=300
  if [[ -n $pid ]]; then
    kill "-$1" "$pid" 2>/dev/null || true
    while is_running && ((left-- > 0)); do sleep 0.1; done
    ! is_running || kill -KILL "$pid" || true
    rm -f "$run/pid"
    pid=''
  fi
}

clean_up() {
  end KILL
  [[ -z $run ]] || remove "$run"
}

trap clean_up EXIT
trap 'exit 1' INT TERM HUP
for program in mvn flock setpriv timeout; do
  command -v "$program" >/dev/null || refuse "the program $program"
done
choose_cache
find_java
unpack
clear_away
while read -r order; do
  case $order in
    start) start ;;
    stop) end TERM; say 'done' ;;
    kill) end KILL; say 'done' ;;
    freeze) kill -STOP "$pid"; say 'done' ;;
    thaw) kill -CONT "$pid"; say 'done' ;;
    *) say "failed $order is no order" ;;
  esac
done
