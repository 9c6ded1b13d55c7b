# units.tsv as an HTML table: the only one of the three that shows a unit's name.
BEGIN {
  FS = "\t"
  print "<table>"
  print "<tr><th>symbol</th><th>name</th><th>quantity</th></tr>"
}
/^#/ || NF == 0 { next }
{ printf "<tr><td><code>%s</code></td><td>%s</td><td>%s</td></tr>\n", $1, $5, $2 }
END { print "</table>" }
