# Fills public/ anew: a page that is gone from pages/ must be gone from there too.
set -eu

json() { # path, text
  printf '%s' "$2" | awk -v path="$1" -f ../../tools/json.awk
}

site=$(json title "$DEVENV_TASK_INPUT")
units=$(json schema:check/units "$DEVENV_TASKS_OUTPUTS")
quantities=$(json schema:check/quantities "$DEVENV_TASKS_OUTPUTS")

nav=
for page in pages/*.txt; do
  name=$(basename "$page" .txt)
  nav="$nav<a href=\"$name.html\">$name</a> "
done

rm -rf public
mkdir public
cp style.css public/
count=0
for page in pages/*.txt; do
  awk -v site="$site" -v nav="$nav" -v units="$units" -v quantities="$quantities" \
    -v table=../schema/gen/table.html -f page.awk "$page" template.html \
    > "public/$(basename "$page" .txt).html"
  count=$((count + 1))
done
printf '{"pages":%d}\n' "$count" > "$DEVENV_TASK_OUTPUT_FILE"
