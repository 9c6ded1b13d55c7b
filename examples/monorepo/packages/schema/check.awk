# Judges units.tsv; prints what it holds as JSON.
BEGIN { FS = "\t" }
/^#/ || NF == 0 { next }
NF != 5 { fault("5 columns expected, " NF " found") }
$1 in seen { fault("`" $1 "` is already in line " seen[$1]) }
$3 !~ /^[0-9]+(\.[0-9]+)?$/ || $3 + 0 == 0 { fault("the factor `" $3 "` is not a positive number") }
$4 !~ /^-?[0-9]+(\.[0-9]+)?$/ { fault("the offset `" $4 "` is not a number") }
{
  seen[$1] = FNR
  units++
  if (!($2 in quantity)) { quantity[$2]; quantities++ }
}
END {
  if (faults) exit 1
  printf "{\"units\":%d,\"quantities\":%d}\n", units, quantities
}
function fault(what) {
  print FILENAME ":" FNR ": " what | "cat 1>&2"
  faults++
}
