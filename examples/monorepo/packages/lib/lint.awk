# House style: no tabs, no blanks at the end, at most 100 columns.
FNR == 1 { files++ }
/\t/ { fault("a tab") }
/[ \t]$/ { fault("blanks at the end") }
length($0) > 100 { fault("longer than 100 columns") }
END {
  if (faults) exit 1
  printf "{\"files\":%d}\n", files
}
function fault(what) {
  print FILENAME ":" FNR ": " what | "cat 1>&2"
  faults++
}
