# One file: the page with its style in it.
set -eu
mkdir -p public
sed -e '/@STYLE@/{
r page/style.css
d
}' page/page.html > public/index.html
