#!/bin/sh
# Asks for a KYC link, waits for the verdict and says it: sh verify.sh USER COUNTRY
# It ends when the verdict is final: a webhook can say `verified` before a check of the provider confirms it.
# Exit code: 0 verified, 1 rejected, 2 wrong use, 3 failed or took too long.
set -eu

usage() {
  echo 'usage: verify.sh USER COUNTRY (USER of A-Z a-z 0-9 . _ ~ : @ -, COUNTRY as in DO)' >&2
  exit 2
}
[ $# -eq 2 ] || usage
user=$1 country=$2
case $user in '' | *[!A-Za-z0-9._~:@-]*) usage ;; esac
case $country in [A-Z][A-Z]) ;; *) usage ;; esac

url=${KYC_TRACKER_URL:-http://127.0.0.1:8080}
give_up_at=$(($(date +%s) + 1800))
tmp=$(mktemp -d) || exit 3
trap 'rm -rf "$tmp"' EXIT
trap 'exit 3' INT TERM
# In a file, because everybody on the machine can see the arguments of a program.
echo "partner-api-key: ${KYC_TRACKER_KEY:-demo_partner_key}" > "$tmp/key"

fail() {
  echo "$1" >&2
  exit 3
}

# A text of the last answer, and a header of it.
field() { awk -F"\"$1\":\"" 'NF > 1 { split($2, rest, "\""); print rest[1] }' "$tmp/body"; }
header() { tr -d '\r' < "$tmp/head" | awk -F': ' -v name="$1" 'tolower($1) == name { print $2 }'; }

# Sends a request until it is answered by something else than "come again later", and sets $code.
ask() {
  why='it took too long'
  while [ "$(date +%s)" -lt "$give_up_at" ]; do
    # The longest wait is 60 seconds.
    code=$(curl -sS --connect-timeout 5 --max-time 75 -H "@$tmp/key" -D "$tmp/head" -o "$tmp/body" \
      -w '%{http_code}' "$@") || code=000
    case $code in
      000) pause=5 why='the service cannot be reached' ;;
      429 | 503) pause=$(header retry-after) why="$(field code): $(field detail)" ;;
      2?? | 304) return ;;
      *) fail "$(field code): $(field detail)" ;;
    esac
    sleep "${pause:-5}"
  done
  fail "$why"
}

# The same key for every try, so that no try makes a second link.
ask "$url/v1/kyc/links" -H 'content-type: application/json' -H "idempotency-key: verify-$user-$$-$give_up_at" \
  -d "{\"userId\":\"$user\",\"country\":\"$country\"}"
echo "startUrl: $(field startUrl)"

until grep -q '"final":true' "$tmp/body"; do
  # Answered as soon as something has changed since the version that is known, or with 304 after a minute.
  ask "$url/v1/kyc/users/$user?wait=60" -H "if-none-match: $(header etag)"
  if [ "$code" = 304 ]; then
    : > "$tmp/body"
  else
    status=$(field status)
    echo "status: $status"
  fi
done

[ "$status" = verified ]
