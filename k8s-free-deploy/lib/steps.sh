# How the set-up scripts show progress: one line per step with its time, a log per step, and on
# failure which step failed and why. Sourced, not run. The caller sets `log_folder`.

# step NAME COMMAND...: runs the command quietly; on failure shows the end of its log and leaves.
step() {
  local name=$1 begin end
  shift
  local log="$log_folder/$(printf '%s' "$name" | tr -c 'a-zA-Z0-9' '-').log"
  begin=$(date +%s)
  printf '==> %s ...\n' "$name"
  if "$@" >"$log" 2>&1 </dev/null; then
    end=$(date +%s)
    printf '    %s: done in %s s\n' "$name" $((end - begin))
    step_times="${step_times:-}$(printf '%5s s  %s' $((end - begin)) "$name")"$'\n'
  else
    local code=$?
    printf '    %s: FAILED with exit code %s; the end of %s:\n' "$name" "$code" "$log" >&2
    tail -n 60 "$log" | sed 's/^/    | /' >&2
    exit 1
  fi
}

# install_packages FILE...: installs the Debian packages that the files name, one a line.
install_packages() {
  local missing=() package
  for package in $(sed 's/#.*//' "$@"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# as_root COMMAND...: as it is for root, with sudo for others.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}
