#!/bin/sh
# Installs edgek on Debian 12 or newer and Raspberry Pi OS, as a systemd service. Run as root:
#
#   curl -sfL https://.../install.sh | sh -                                     a server
#   curl -sfL https://.../install.sh | EDGEK_URL=https://IP:6443 EDGEK_TOKEN=... sh -   an agent
#   ./install.sh                                                                from a checkout
#
# Run again to upgrade or to change settings: what is not named again stays as it was.
#
#   EDGEK_URL             server to join; makes this machine an agent
#   EDGEK_TOKEN           the cluster's secret, or EDGEK_TOKEN_FILE, a file that has it
#   EDGEK_EXEC            arguments of edgek, with `server` or `agent` as the first word if wanted;
#                         words after `sh -s -` are added
#   EDGEK_...             any other setting of `edgek server --help` or `edgek agent --help`
#   EDGEK_VERSION         version to install, instead of the newest
#   EDGEK_INSTALL_SOURCE  a checkout, a directory of wheels (nothing is downloaded then), or the
#                         URL of a package index
#   EDGEK_SKIP_START      set: do not start edgek now
#   EDGEK_SKIP_ENABLE     set: do not start edgek at boot, nor now
#
# Nothing is done before the last line, so a download that breaks off does no harm.
set -eu

PREFIX=/opt/edgek
LINK=/usr/local/bin/edgek
ENV_FILE=/etc/edgek/edgek.env
UNITS=/etc/systemd/system
PACKAGES='podman crun conmon nftables iptables conntrack catatonit iproute2 util-linux procps
    nfs-common python3-venv'
# Told to this script and not settings of the service.
OURS=' EDGEK_URL EDGEK_EXEC EDGEK_ARGS EDGEK_VERSION EDGEK_INSTALL_SOURCE EDGEK_SKIP_START EDGEK_SKIP_ENABLE '
START_SECONDS=600

role='' args='' args_given='' keys=' ' lines='' warnings='' source='' source_kind='' staging=''

say() { echo "edgek: $*"; }
die() {
    echo "edgek: $*" >&2
    exit 1
}
warn() {
    warnings="$warnings
WARNING: $*"
}

main() {
    trap 'rm -rf "$staging"' EXIT
    trap 'exit 130' INT TERM
    check_machine
    set -f
    # shellcheck disable=SC2086  # EDGEK_EXEC is words
    choose_role ${EDGEK_EXEC-} "$@"
    set +f
    take_settings
    check_role
    find_source
    check_cgroups

    install_packages
    install_edgek
    write_units
    write_settings
    enable_unit
    to_disk
    start
    echo_next
}

# -- what is wanted ---------------------------------------------------------------------------

check_machine() {
    [ "$(uname -s)" = Linux ] || die "runs on Linux only"
    [ "$(id -u)" = 0 ] || die "must be run as root: sudo sh install.sh, or curl ... | sudo sh -"
    [ -d /run/systemd/system ] ||
        die "this machine does not run systemd; start 'edgek server' in your own way instead"
    command -v apt-get >/dev/null ||
        die "needs Debian, Raspberry Pi OS or another system with apt-get"
}

# The role and the arguments, from the words of EDGEK_EXEC and of the command line.
choose_role() {
    [ -z "${EDGEK_EXEC+set}" ] && [ $# = 0 ] || args_given=yes
    case ${1-} in
    server | agent)
        role=$1
        shift
        ;;
    esac
    while [ $# -gt 0 ]; do
        case $1 in
        # Secrets go to the settings file: anybody on the machine may read arguments.
        --token=*) put EDGEK_TOKEN "${1#*=}" ;;
        --agent-token=*) put EDGEK_AGENT_TOKEN "${1#*=}" ;;
        --token | --agent-token)
            [ $# -gt 1 ] || die "$1 needs a value"
            case $1 in
            --token) put EDGEK_TOKEN "$2" ;;
            *) put EDGEK_AGENT_TOKEN "$2" ;;
            esac
            shift
            ;;
        *) args="$args${args:+ }$(quoted "$1")" ;;
        esac
        shift
    done
    [ -n "$role" ] && return
    if [ -n "${EDGEK_URL-}" ]; then
        role=agent
    elif [ -f "$UNITS/edgek-agent.service" ]; then
        role=agent
    else
        role=server
    fi
}

# One word for systemd's splitting of $EDGEK_ARGS.
quoted() {
    case $1 in
    *[\'\"\\]* | *"
"*) die "argument $1: quotes and backslashes cannot be passed on; use /etc/edgek/config.yaml" ;;
    *[!-A-Za-z0-9_./:=,@%+]* | '') printf "'%s'" "$1" ;;
    *) printf %s "$1" ;;
    esac
}

# put NAME VALUE - one line for the settings file; an empty value takes the setting away.
put() {
    case $2 in *"
"*) die "$1 must be one line" ;; esac
    keys="$keys$1 "
    [ -z "$2" ] || lines="$lines$1=\"$(printf %s "$2" | sed 's/[\\"]/\\&/g')\"
"
}

# Every EDGEK_ variable that is not ours is a setting of the service. They are unset here, so that
# no other program that we start gets to know the token.
take_settings() {
    [ -z "${EDGEK_URL-}" ] || put EDGEK_SERVER "$EDGEK_URL"
    [ -z "$args_given" ] || put EDGEK_ARGS "$args"
    for name in $(env | sed -n 's/^\(EDGEK_[A-Z0-9_]*\)=.*/\1/p'); do
        case $OURS in *" $name "*) continue ;; esac
        eval "put $name \"\${$name-}\""
        unset "$name"
    done
    # A new token is not to be hidden by the file of an older one, nor the other way round.
    case $keys in
    *' EDGEK_TOKEN '*' EDGEK_TOKEN_FILE '* | *' EDGEK_TOKEN_FILE '*' EDGEK_TOKEN '*) ;;
    *' EDGEK_TOKEN '*) put EDGEK_TOKEN_FILE '' ;;
    *' EDGEK_TOKEN_FILE '*) put EDGEK_TOKEN '' ;;
    esac
}

# The settings file as it will be: old lines that are not replaced, then the new ones.
merged_settings() {
    if [ -f "$ENV_FILE" ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            case $keys in *" ${line%%=*} "*) ;; *) printf '%s\n' "$line" ;; esac
        done <"$ENV_FILE"
    else
        echo "# Settings of edgek, one a line; then: systemctl restart edgek (or edgek-agent)"
    fi
    printf %s "$lines"
}

check_role() {
    other=server
    [ "$role" = agent ] || other=agent
    [ ! -f "$UNITS/$(unit "$other").service" ] ||
        die "this machine is installed as $other; to make it $role, run first: edgek uninstall"
    [ "$role" = agent ] || return 0
    settings=$(merged_settings)
    case "$settings $args" in
    *EDGEK_SERVER=* | *--server*) ;;
    *) die "an agent needs a server to join: EDGEK_URL=https://SERVER:6443" ;;
    esac
    case "$settings" in
    *EDGEK_TOKEN=* | *EDGEK_TOKEN_FILE=*) ;;
    *) die "an agent needs EDGEK_TOKEN; the server says it: edgek token" ;;
    esac
}

unit() {
    if [ "$1" = agent ]; then echo edgek-agent; else echo edgek; fi
}

find_source() {
    source=${EDGEK_INSTALL_SOURCE-}
    here=$(dirname "$0")
    # Piped into sh, $0 is the shell; as a file it may lie in a checkout.
    [ -n "$source" ] || [ ! -f "$here/install.sh" ] || ! is_checkout "$here" || source=$here
    case $source in
    '' | http://* | https://*)
        source_kind=index
        return
        ;;
    esac
    [ -d "$source" ] || die "EDGEK_INSTALL_SOURCE: there is no directory $source"
    source=$(cd "$source" && pwd)
    if is_checkout "$source"; then
        source_kind=checkout
        [ -z "${EDGEK_VERSION-}" ] || die "EDGEK_VERSION cannot be chosen from a checkout"
    elif ls "$source"/edgek-*.whl >/dev/null 2>&1; then
        source_kind=wheels
    else
        die "EDGEK_INSTALL_SOURCE: $source has neither edgek's pyproject.toml nor edgek-*.whl"
    fi
}

is_checkout() { grep -qs '^name = "edgek"' "$1/pyproject.toml"; }

check_cgroups() {
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        grep -qw memory /sys/fs/cgroup/cgroup.controllers && return
    else
        awk '$1 == "memory" && $4 == 1 { found = 1 } END { exit !found }' /proc/cgroups && return
    fi
    for cmdline in /boot/firmware/cmdline.txt /boot/cmdline.txt; do
        [ -f "$cmdline" ] || continue
        warn "the kernel's memory control is off: memory limits of pods would not hold. Add
  cgroup_memory=1 cgroup_enable=memory
to the one line of $cmdline, and reboot."
        return
    done
    warn "the kernel's memory control is off: memory limits of pods would not hold. Boot with
cgroup_enable=memory on the kernel's command line."
}

# -- installing -------------------------------------------------------------------------------

install_packages() {
    missing=''
    for package in $PACKAGES; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null |
            grep -q '^install ok installed$' || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        say "installing Debian packages:$missing"
        # shellcheck disable=SC2086  # a list of names
        logged apt_install $missing || die "apt-get could not install the packages (see above)"
    fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "needs Python 3.11, this system has $(python3 --version 2>&1); Debian 12 or newer has it"
}

apt_install() {
    apt-get -qq update || return
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
}

# Runs a command, and shows what it said only if it failed.
logged() {
    log=$(mktemp)
    if "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 30 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

install_edgek() {
    if ! "$PREFIX/bin/python" -c 'import pip' 2>/dev/null; then
        say "making $PREFIX"
        logged python3 -m venv --clear "$PREFIX" || die "cannot make a virtual environment"
    fi
    before=$(installed_version)
    say "installing edgek from ${source:-the Python package index}"
    wanted="edgek${EDGEK_VERSION:+==$EDGEK_VERSION}"
    case $source_kind in
    checkout) stage && pip_install "$staging" ;;
    wheels) pip_install --no-index --find-links "$source" "$wanted" ;;
    index) pip_install ${source:+--index-url "$source"} "$wanted" ;;
    esac
    after=$(installed_version)
    [ "$before" = "$after" ] || say "installed $after${before:+, was $before}"
    link
}

# Equal versions may be different builds; only an index promises that they are not.
pip_install() {
    logged pip install --upgrade "$@" || die "pip could not install edgek (see above)"
    [ "$source_kind" = index ] || [ -z "$before" ] ||
        logged pip install --force-reinstall --no-deps "$@" || die "pip could not upgrade edgek"
}

pip() { "$PREFIX/bin/python" -m pip --disable-pip-version-check --no-input -q "$@"; }

installed_version() { "$PREFIX/bin/edgek" --version 2>/dev/null || true; }

# A copy of the sources: building writes into them, and an old build/ would be installed as well.
stage() {
    staging=$(mktemp -d)
    tar -C "$source" --exclude=./.git --exclude=./.venv --exclude=./build --exclude='*.egg-info' \
        --exclude=__pycache__ -cf - . | tar -C "$staging" -xf -
}

link() {
    if [ -e "$LINK" ] && [ ! -L "$LINK" ]; then
        warn "$LINK is not ours and was left; edgek is $PREFIX/bin/edgek"
        return
    fi
    mkdir -p "$(dirname "$LINK")"
    ln -sfn "$PREFIX/bin/edgek" "$LINK"
}

write_units() {
    cp "$PREFIX/share/edgek/systemd/$(unit "$role").service" "$UNITS/"
    chmod 644 "$UNITS/$(unit "$role").service"
    systemctl daemon-reload
}

write_settings() {
    mkdir -p "$(dirname "$ENV_FILE")"
    new=$ENV_FILE.new
    (umask 077 && merged_settings >"$new")
    mv "$new" "$ENV_FILE"
}

# -- starting ---------------------------------------------------------------------------------

enable_unit() {
    name=$(unit "$role")
    [ -z "${EDGEK_SKIP_ENABLE-}" ] || return 0
    logged systemctl enable "$name" || die "systemctl enable $name failed (see above)"
}

# What pip and cp wrote is in memory for half a minute: a power cut would leave empty files. Not all
# file systems, for that of a server that is away would hold it up.
to_disk() {
    sync -f "$PREFIX" "$(dirname "$LINK")" "$UNITS" "$(dirname "$ENV_FILE")"
}

start() {
    [ -z "${EDGEK_SKIP_ENABLE-}${EDGEK_SKIP_START-}" ] || return 0
    say "starting $name"
    # Stopped first, so that "active" can only be said of the new one. Pods run on meanwhile.
    systemctl stop "$name"
    # One stopped in the pause before a restart keeps the count of its restarts otherwise.
    systemctl reset-failed "$name" 2>/dev/null || :
    systemctl start --no-block "$name"
    wait_until_active
}

# The unit is active when edgek says that it is ready. A process that ended would be started again
# for ever, so the first end is the answer here.
wait_until_active() {
    begun=$(date +%s) said=''
    while :; do
        case $(systemctl show -p ActiveState -p NRestarts "$name" | tr '\n' ' ') in
        *ActiveState=active*) return ;;
        *ActiveState=failed* | *NRestarts=[1-9]*) not_started "$name does not start" ;;
        esac
        [ $(($(date +%s) - begun)) -lt $START_SECONDS ] ||
            not_started "$name is not ready after $START_SECONDS s"
        [ $(($(date +%s) - begun)) -lt 10 ] || say_how_far
        sleep 1
    done
}

say_how_far() {
    word=$(journalctl -u "$name" -n 1 --no-pager -o cat)
    [ "$word" = "$said" ] || say "still waiting: $word"
    said=$word
}

not_started() {
    journalctl -u "$name" -n 20 --no-pager -o cat >&2 || true
    die "$1; its last words are above. More: journalctl -u $name"
}

echo_next() {
    if [ -n "${EDGEK_SKIP_ENABLE-}${EDGEK_SKIP_START-}" ]; then
        say "installed, not started. Start it with: systemctl start $(unit "$role")"
    elif [ "$role" = agent ]; then
        say "this machine's agent runs. On the server, see it with: edgek get nodes"
    else
        cat <<X
edgek: the server runs. Next:
  export KUBECONFIG=/etc/edgek/edgek.yaml
  edgek get nodes
  edgek apply -f YOUR.yaml
To add a machine, run there what this prints:
  edgek token
X
    fi
    [ -z "$warnings" ] || printf '%s\n' "$warnings" >&2
}

main "$@"
