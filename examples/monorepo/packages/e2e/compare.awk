# compare.awk A B: two columns of numbers must agree within `tolerance`; prints how many there are.
FNR == NR { a[FNR] = $1; next }
{
  difference = a[FNR] - $1
  if (difference < 0) difference = -difference
  size = $1 < 0 ? -$1 : $1
  if (!(FNR in a) || difference > tolerance * (1 + size)) {
    print "line " FNR ": " a[FNR] " and " $1 | "cat 1>&2"
    differing++
  }
  last = FNR
}
END {
  if (differing || last != NR - last) exit 1
  print last
}
