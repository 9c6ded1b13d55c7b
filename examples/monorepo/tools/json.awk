# Reads one value out of a JSON text, for machines without jq.
#
#   awk -v path=schema:check/units -f tools/json.awk FILE
#
# `path` is the keys from the outside in, joined by `/`; list items count from 0. Prints a string without
# its quotes (\" \\ \/ \n \t are undone, other escapes stay), anything else as it is written, and nothing
# for an object, a list, null or a path that is not there. The text must be valid JSON.

{ text = text $0 "\n" }

END {
  at = 1
  value("")
}

function blanks() {
  while (index(" \t\r\n", substr(text, at, 1)) && at <= length(text)) at++
}

function value(here,    c, start, found) {
  blanks()
  c = substr(text, at, 1)
  if (c == "{") { members(here); return }
  if (c == "[") { items(here); return }
  if (c == "\"") found = string()
  else {
    start = at
    while (at <= length(text) && !index(",]} \t\r\n", substr(text, at, 1))) at++
    found = substr(text, start, at - start)
    if (found == "null") found = ""
  }
  if (here == path && found != "") print found
}

function join(here, key) {
  return here == "" ? key : here "/" key
}

function members(here,    key) {
  at++
  for (blanks(); at <= length(text) && substr(text, at, 1) != "}"; blanks()) {
    if (substr(text, at, 1) == ",") { at++; continue }
    key = string()
    blanks()
    at++ # the colon
    value(join(here, key))
  }
  at++
}

function items(here,    n) {
  at++
  n = 0
  for (blanks(); at <= length(text) && substr(text, at, 1) != "]"; blanks()) {
    if (substr(text, at, 1) == ",") { at++; continue }
    value(join(here, n++))
  }
  at++
}

function string(    c, out) {
  out = ""
  for (at++; at <= length(text) && (c = substr(text, at, 1)) != "\""; at++) {
    if (c == "\\") {
      at++
      c = substr(text, at, 1)
      if (c == "n") c = "\n"
      else if (c == "t") c = "\t"
      else if (!index("\"\\/", c)) c = "\\" c
    }
    out = out c
  }
  at++
  return out
}
