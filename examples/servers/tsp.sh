# Tasks for devtask in bash (4.4 or later) with jq (1.6 or later). A script sources this file, calls `task` for each of
# its tasks, and at its end `serve "$@"`. One run at a time; a `cancel` is read only once it is over.
#
#   task NAME FUNCTION [JSON]   registers a function; JSON: an object with description, depends, exec_if_modified, …
#
# In a function, which runs where the task works, with `set -eu -o pipefail` and the task's variables:
#   input FILTER                what jq finds in the input of the run ({} where there is none), as text
#   handed TASK [FILTER]        what a task before it handed on, as JSON
#   hand_on < JSON              hands on what it reads
# stdout and stderr become lines of the task. Nothing of a message is ever an argument of a command: these are limited
# to 128 KiB each. Numbers beyond 2^53 lose digits with jq before 1.7. A message takes a second or two for each MiB.

declare -A TSP_FUNCTION=() TSP_OBJECT=()
TSP_NAMES=()

# A script for sed: a line as a JSON string. NUL is left out, other control characters are escaped.
TSP_STRING='s/\r$//; s/[\\"]/\\&/g'
for at in {1..9} {11..31} 127; do
    printf -v TSP_HEX '%02x' "$at"
    printf -v TSP_STRING '%s; s/%b/\\\\u00%s/g' "$TSP_STRING" "\\x$TSP_HEX" "$TSP_HEX"
done
TSP_STRING+='; s/[[:cntrl:]]//g; s/.*/"&"/'
unset at TSP_HEX

task() {
    if ! [[ $1 =~ ^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*$ && -z ${TSP_FUNCTION[$1]-} ]]; then
        echo "the task name \`$1\` is not legal, or taken" >&2
        exit 2
    fi
    TSP_NAMES+=("$1") TSP_FUNCTION[$1]=$2 TSP_OBJECT[$1]=${3:-null}
}

input() { jq -r "(.inputs // {}) | ($1)" "$TSP/run"; }
handed() { jq -c --arg task "$1" ".outputs[\$task] | (${2:-.})" "$TSP/run"; }
hand_on() { cat > "$TSP/output"; }

# The function of a run, whose particulars are in $TSP/run, with a shell of its own; its code is this one's.
tsp_perform() (
    exec < /dev/null 3>&- 9>&-
    unset DEVTASK_TSP_FD
    set -eu -o pipefail
    eval "$(jq -r '.env // {} | to_entries[] | select(.key | test("^[A-Za-z_][A-Za-z0-9_]*$"))
        | "export \(.key)=\(.value | tostring | @sh)"' "$TSP/run")"
    cd -- "$(jq -r '.cwd // "."' "$TSP/run")"
    "${TSP_FUNCTION[$1]}"
)

# Lines to notifications. sed makes JSON of them, for jq would cut long lines in the middle of characters. Two of
# these write at the same time, but in turns: who has the one byte of descriptor 9 may.
tsp_log() {
    local line
    LC_ALL=C sed -u "$TSP_STRING" |
        jq -c --unbuffered --arg task "$1" --argjson run "$2" --argjson stderr "$3" \
            '{jsonrpc: "2.0", method: "log", params: {task: $task, run: $run, line: ., stderr: $stderr}}' |
        while IFS= read -r line; do
            read -r -N 1 -u 9
            printf '%s\n' "$line" >&3
            printf . >&9
        done
}

# Runs a task, and answers.
tsp_run() { # ID NAME
    local code=0 run
    run=$(jq -c '.run // null' "$TSP/run")
    : > "$TSP/output" > "$TSP/errors"
    # The lines have all been written when the pipeline ends: before the answer.
    {
        { tsp_perform "$2" 2>&4 4>&- | tsp_log "$2" "$run" false 4>&-; exit "${PIPESTATUS[0]}"; } 4>&1 1>&5 |
            tee "$TSP/errors" | tsp_log "$2" "$run" true 5>&-
        code=${PIPESTATUS[0]}
    } 5>&1
    if [ "$code" != 0 ]; then
        tail -n 1 "$TSP/errors" | jq -cRs --arg task "$2" --arg code "$code" '{task: $task, outputs: null,
            status: "failed", error: {message: "exit code \($code): \(rtrimstr("\n"))" | rtrimstr(": ")}}'
    elif ! jq -cs --arg task "$2" 'if length > 1 then error else {task: $task, outputs: .[0], status: "succeeded"} end' \
        "$TSP/output" 2> "$TSP/errors"; then
        jq -cn --arg task "$2" \
            '{task: $task, outputs: null, status: "failed", error: {message: "what it hands on is no JSON"}}'
    fi | tsp_answer "$1"
}

tsp_answer() { jq -c --argjson id "$1" '{jsonrpc: "2.0", id: $id, result: .}' >&3; } # ID < result
tsp_refuse() { # ID CODE MESSAGE
    jq -cn --argjson id "$1" --argjson code "$2" --arg message "$3" \
        '{jsonrpc: "2.0", id: $id, error: {code: $code, message: $message}}' >&3
}

tsp_list() {
    local name
    for name in "${TSP_NAMES[@]}"; do
        printf '{"name": "%s"}\n%s\n' "$name" "${TSP_OBJECT[$name]}"
    done | jq -cs '[range(0; length; 2) as $i | .[$i] + .[$i + 1]]'
}

# The message in $TSP/message: one JSON value. $known: there was an `initialize`.
tsp_take() {
    local -a it
    mapfile -t it < <(jq -r 'def text: if type == "string" then gsub("\n"; " ") else "" end;
        if type == "object" then . else {} end |
        if has("method") | not then if has("result") or has("error") then "" else "bad" end
        elif (.method | type) != "string" then "bad" elif has("id") | not then "told"
        elif (.id | type) == "string" or (.id | type) == "number" and .id == (.id | floor) then "asked"
        else "bad" end, (.id | tojson), (.method | text), (.params | type | . == "object" or . == "null"),
        (.params | if type == "object" then .task | type else "null" end),
        (.params | if type == "object" then .task | text else "" end)' "$TSP/message")
    local kind=${it[0]} id=${it[1]} method=${it[2]} task=${it[5]-}
    case $kind in
        bad) tsp_refuse null -32600 "no request" ;;
        asked)
            if [ "${it[3]}" = false ]; then
                tsp_refuse "$id" -32602 "the params are no object"
            elif [ "$method" = initialize ]; then
                known=1
                jq -c '{tasks: ., protocolVersion: 1,
                    capabilities: {cancel: false, progress: false, listChanged: false, maxConcurrency: 1}}' \
                    "$TSP/list" | tsp_answer "$id"
            elif [ -z "$known" ]; then
                tsp_refuse "$id" -32002 "\`initialize\` comes first"
            elif [ "$method" = shutdown ]; then
                tsp_answer "$id" <<< null
            elif [ "$method" != run ]; then
                tsp_refuse "$id" -32601 "there is no such method"
            elif [ "${it[4]}" != string ]; then
                tsp_refuse "$id" -32602 "\`run\` needs a task"
            elif ! [[ $task =~ ^[A-Za-z0-9:_-]+$ && -n ${TSP_FUNCTION[$task]-} ]]; then
                tsp_refuse "$id" -32001 "there is no such task"
            else
                jq -c .params "$TSP/message" > "$TSP/run"
                tsp_run "$id" "$task"
            fi
            ;;
    esac
}

# The messages of a line, which need not be apart; and what is no JSON after them.
tsp_line() {
    local message fault=0
    printf '%s\n' "$1" > "$TSP/line"
    jq -c . "$TSP/line" > "$TSP/messages" 2> "$TSP/errors" || fault=1
    while IFS= read -r message <&7; do
        printf '%s\n' "$message" > "$TSP/message"
        tsp_take
    done 7< "$TSP/messages"
    [ "$fault" = 0 ] || tsp_refuse null -32700 "a line is no JSON"
}

tsp_read() {
    local line='' part='' known='' ended=0
    mkfifo "$TSP/turn"
    exec 9<> "$TSP/turn"
    printf . >&9
    # Of what has begun the line may never end: it is taken as soon as it is JSON.
    while IFS= read -r -N 1 -u 3 line; do
        [ -n "${line//[[:space:]]/}" ] || continue
        ended=129
        until [ "$ended" -lt 128 ]; do
            ended=0
            IFS= read -r -t 0.2 -u 3 part || ended=$?
            line+=$part
            if [ "$ended" -gt 128 ] && [[ $line == *"}" ]] && jq empty <<< "$line" 2> "$TSP/errors"; then
                ended=0
            fi
        done
        tsp_line "$line"
    done
}

tsp_by_hand() { # NAME [JSON]
    printf '%s' "${2:-null}" | jq -c '{inputs: .}' > "$TSP/run" || return 2
    : > "$TSP/output"
    # Not with `&&`, for then a function would go on after what fails in it.
    tsp_perform "$1"
    local code=$?
    [ "$code" != 0 ] || cat "$TSP/output"
    return "$code"
}

serve() {
    set +eu +o pipefail # The script's own settings are for its functions.
    TSP=$(mktemp -d) || return 1
    trap 'rm -rf "$TSP"' EXIT
    if ! tsp_list > "$TSP/list"; then
        echo "what a task is declared with is no JSON" >&2
        return 2
    elif [ "$*" = list ]; then
        jq -r '.[] | "\(.name)\t\(.description // "")"' "$TSP/list"
    elif [ "${1-}" = run ] && [ -n "${2-}" ] && [ -n "${TSP_FUNCTION[$2]-}" ]; then
        tsp_by_hand "${@:2}"
    elif [ "${DEVTASK_TSP_FD-}" = 3 ]; then
        tsp_read
    else
        printf 'usage: %s list | run NAME [JSON]; tasks: %s\n' "$0" "${TSP_NAMES[*]}" >&2
        return 2
    fi
}
