# One page in the template: page.awk PAGE TEMPLATE. The first line of a page is its title, the others are
# its text: blank lines part paragraphs, {{units}} and {{quantities}} are numbers, {{table}} is the table.

FNR == NR && FNR == 1 { title = $0; next }
FNR == NR { body = body paragraph($0); next }

{ gsub(/\{\{site\}\}/, literal(site)) }
{ gsub(/\{\{title\}\}/, literal(title)) }
{ gsub(/\{\{nav\}\}/, literal(nav)) }
/\{\{body\}\}/ { printf "%s%s", body, close_paragraph(); next }
{ print }

function paragraph(line,    out) {
  if (line == "") return close_paragraph()
  if (line == "{{table}}") return close_paragraph() slurp(table)
  gsub(/\{\{units\}\}/, units, line)
  gsub(/\{\{quantities\}\}/, quantities, line)
  out = (open ? "" : "<p>\n") line "\n"
  open = 1
  return out
}

function close_paragraph(    was) {
  was = open
  open = 0
  return was ? "</p>\n" : ""
}

function slurp(file,    line, out) {
  while ((getline line < file) > 0) out = out line "\n"
  close(file)
  return out
}

# A replacement text in which `&` means itself.
function literal(text) {
  gsub(/&/, "\\\\&", text)
  return text
}
