# Writes report.txt from what the tasks before it handed on. A task that failed hands on nothing.
set -eu

value() {
  awk -v path="$1" -f tools/json.awk "$DEVENV_TASKS_OUTPUTS_FILE"
}

line() { # what, path of a number, its unit
  number=$(value "$2")
  if [ -n "$number" ]; then
    printf '%-12s %s %s\n' "$1" "$number" "$3"
  else
    printf '%-12s %s\n' "$1" "FAILED"
  fi
}

{
  line "units" schema:check/units "in the table"
  line "C lint" lib:lint/files "files clean"
  line "C tests" lib:test/checks "checks passed"
  line "Rust tests" cli:test/checks "tests passed"
  line "site" site:links/links "links resolve"
  line "end to end" e2e:test/conversions "conversions agree"
} > report.txt
cat report.txt
