#!/usr/bin/env bash
# Checks Claude Code Bot from outside, as a customer sees it, and ends as a check of Nagios does:
# 0 OK, 2 CRITICAL (the product fails), 3 UNKNOWN (the check itself could not run).
#
#   BASE_URL           the API; https://api.claude-code-bot.com unless set
#   TEST_API_KEY       key of the test account, or TEST_API_KEY_FILE: a file that holds it
#   REQUEST_TIMEOUT    seconds for one answer, 10 unless set
#   FULL_FLOW=1        also have an integration made, from the issue to the pull request. Real work that costs money:
#                      hourly at most. Needs GH_REPO (owner/name), GH_TOKEN and the program gh.
#   FLOW_LIMIT         seconds that it may take, 900 unless set; FLOW_POLL: seconds between two looks, 20
set -euo pipefail

base_url=${BASE_URL:-https://api.claude-code-bot.com}
base_url=${base_url%/}
request_timeout=${REQUEST_TIMEOUT:-10}
flow_limit=${FLOW_LIMIT:-900}
flow_poll=${FLOW_POLL:-20}

critical() {
  printf 'CRITICAL: %s\n' "$*"
  exit 2
}

unknown() {
  printf 'UNKNOWN: %s\n' "$*"
  exit 3
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || unknown "$program is not installed"
  done
}

# The last line of what is printed is the HTTP status, 000 when nothing answered. Options beside the URL are read
# from standard input: the process list shows a command line, and so a key in it, to everybody.
request() {
  curl --silent --max-time "$request_timeout" --write-out '\n%{http_code}' --config - "$base_url$1" || true
}

check_health() {
  local answer status
  answer=$(request /health </dev/null)
  status=${answer##*$'\n'}
  [[ $status != 000 ]] || critical "$base_url/health does not answer within $request_timeout s"
  [[ $status == 200 ]] || critical "$base_url/health answers HTTP $status"
}

check_api() {
  local answer status body
  answer=$(request '/v1/integrations?limit=1' <<<"header = \"Authorization: Bearer $api_key\"")
  status=${answer##*$'\n'}
  body=${answer%$'\n'*}
  [[ $status != 000 ]] || critical "$base_url/v1/integrations does not answer within $request_timeout s"
  [[ $status == 200 ]] || critical "$base_url/v1/integrations answers HTTP $status: ${body:0:200}"
  # --slurp: of an empty answer jq would otherwise think nothing at all.
  jq --exit-status --slurp 'length == 1 and (.[0].total | type) == "number"' >/dev/null 2>&1 <<<"$body" ||
    critical "$base_url/v1/integrations answers without a number \"total\": ${body:0:200}"
}

# Numbers of the pull requests that were made for our issue: another's prove nothing.
pull_requests_of_issue() {
  gh pr list --repo "$GH_REPO" --label auto-generated --state all --limit 50 --json number,title,body |
    jq --raw-output --arg issue "#$issue" --arg marker "$marker" \
      '.[] | select("\(.title) \(.body)" | test("\($issue)\\b") or contains($marker)) | .number'
}

# Runs whatever has happened: neither the issue nor the pull request is left behind.
clean_up() {
  local number
  for number in ${pull_requests:-}; do
    gh pr close "$number" --repo "$GH_REPO" --delete-branch >/dev/null 2>&1 || true
  done
  gh issue close "$issue" --repo "$GH_REPO" --comment 'The synthetic check has ended.' >/dev/null 2>&1 || true
}

check_flow() {
  local url deadline
  marker="synthetic-$(date -u +%Y%m%dT%H%M%SZ)-$RANDOM"
  url=$(gh issue create --repo "$GH_REPO" --title "[synthetic] $marker" --body "Synthetic check $marker." \
    --label integration-request --label synthetic) || unknown "no issue could be created in $GH_REPO"
  issue=${url##*/}
  trap clean_up EXIT
  deadline=$((SECONDS + flow_limit))
  until pull_requests=$(pull_requests_of_issue) && [[ -n $pull_requests ]]; do
    ((SECONDS < deadline)) || critical "no pull request for issue #$issue within $flow_limit s"
    sleep "$flow_poll"
  done
}

need curl jq
if [[ -n ${TEST_API_KEY_FILE:-} ]]; then
  [[ -r $TEST_API_KEY_FILE ]] || unknown "TEST_API_KEY_FILE=$TEST_API_KEY_FILE cannot be read"
  api_key=$(<"$TEST_API_KEY_FILE")
else
  api_key=${TEST_API_KEY:-}
fi
[[ -n $api_key ]] || unknown "neither TEST_API_KEY nor TEST_API_KEY_FILE is set"

check_health
check_api
checked='health, API'
if [[ ${FULL_FLOW:-0} == 1 ]]; then
  need gh
  [[ -n ${GH_REPO:-} ]] || unknown "FULL_FLOW=1 needs GH_REPO"
  check_flow
  checked+=", issue #$issue to pull request in $SECONDS s"
fi
printf 'OK: %s\n' "$checked"
