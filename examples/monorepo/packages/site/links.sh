# Every local href of the site must be a file of the site.
set -eu

links=0
missing=0
for page in public/*.html; do
  for target in $(sed -n 's/>/>\
/gp' "$page" | sed -n 's/.*href="\([^"#:]*\)".*/\1/p'); do
    links=$((links + 1))
    if [ ! -f "public/$target" ]; then
      echo "$page: $target is not there" >&2
      missing=$((missing + 1))
    fi
  done
done
[ "$missing" -eq 0 ]
printf '{"links":%d}\n' "$links" > "$DEVENV_TASK_OUTPUT_FILE"
