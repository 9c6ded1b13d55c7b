# units.tsv as a Rust table.
BEGIN {
  FS = "\t"
  print "// Made from units.tsv."
  print "pub const UNITS: &[Unit] = &["
}
/^#/ || NF == 0 { next }
{ printf "    Unit { symbol: \"%s\", quantity: \"%s\", factor: %s, offset: %s },\n", $1, $2, float($3), float($4) }
END { print "];" }
function float(number) {
  return index(number, ".") ? number : number ".0"
}
