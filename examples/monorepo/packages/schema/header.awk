# units.tsv as a C header.
BEGIN {
  FS = "\t"
  print "/* Made from units.tsv. */"
  print "static const struct unit units[] = {"
}
/^#/ || NF == 0 { next }
{ printf "    {\"%s\", \"%s\", %s, %s},\n", $1, $2, $3, $4 }
END { print "};" }
