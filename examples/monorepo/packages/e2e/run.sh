# Uses what the other projects handed on: two programs by their exports, a count by its JSON, a site.
set -eu

convert=$DEVENV_ROOT/${CONVERT_BIN:?lib:build exports it}
yardstick=$DEVENV_ROOT/${YARDSTICK_BIN:?cli:build exports it}
units=$(printf '%s' "$DEVENV_TASKS_OUTPUTS" | awk -v path=schema:check/units -f ../../tools/json.awk)

rm -rf tmp
mkdir tmp
trap 'rm -rf tmp' EXIT

cat cases.tsv ../data/readings.tsv > tmp/requests
"$convert" < tmp/requests > tmp/from-c
"$yardstick" - < tmp/requests > tmp/from-rust
conversions=$(awk -v tolerance="$TOLERANCE" -f compare.awk tmp/from-c tmp/from-rust)

"$yardstick" --list > tmp/known
[ "$(awk 'END { print NR }' tmp/known)" -eq "$units" ]
while read -r symbol; do
  grep -F "<code>$symbol</code>" ../site/public/units.html > /dev/null || {
    echo "$symbol is not on the site" >&2
    exit 1
  }
done < tmp/known

printf '{"conversions":%d}\n' "$conversions" > "$DEVENV_TASK_OUTPUT_FILE"
