//! Commands of a root that run scripts of all its members.

/// Options that choose some of the members.
const CHOOSING: &[&str] = &[
    "-F",
    "-p",
    "-w",
    "--exclude",
    "--filter",
    "--include",
    "--projects",
    "--scope",
    "--since",
    "--workspace",
    "--affected",
    "--no-private",
];

/// The scripts that such a command runs in every member; none where it is another one, or does more.
pub(crate) fn called(command: &str) -> Option<Vec<String>> {
    if command.contains(['&', ';', '|', '$', '`', '>', '<']) {
        return None;
    }
    let mut words: Vec<&str> = command.split_whitespace().collect();
    if words.first() == Some(&"npx") {
        words.remove(0);
    }
    // What stands behind is for the scripts: their tasks would not have it.
    let is_chosen = |word: &&str| CHOOSING.contains(&word.split('=').next().unwrap_or_default());
    if words.iter().any(|word| *word == "--" || is_chosen(word)) {
        return None;
    }
    let (program, rest) = words.split_first()?;
    let has = |names: &[&str]| rest.iter().any(|word| names.contains(word));
    let plain: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let names = match (*program, plain.as_slice()) {
        ("npm", ["run" | "run-script", name]) if has(&["-ws", "--ws", "--workspaces"]) => vec![*name],
        ("npm", ["test" | "t"]) if has(&["-ws", "--ws", "--workspaces"]) => vec!["test"],
        ("pnpm", ["run", name] | [name]) if has(&["-r", "--recursive"]) => vec![*name],
        ("pnpm", ["recursive", "run", name]) => vec![*name],
        ("yarn", ["workspaces", "run", name]) => vec![*name],
        ("yarn", ["workspaces", "foreach", "run", name] | ["workspaces", "foreach", name]) => vec![*name],
        ("turbo", ["run", names @ ..]) => names.to_vec(),
        // With any other verb it is no script.
        ("turbo", [name]) => vec![*name],
        ("lerna", ["run", name]) => vec![*name],
        ("nx", ["run-many", names @ ..]) => targets(rest, names)?,
        _ => return None,
    };
    (!names.is_empty()).then(|| names.into_iter().map(str::to_owned).collect())
}

/// What nx is to run: names behind an option, or in it.
fn targets<'w>(rest: &[&'w str], names: &[&'w str]) -> Option<Vec<&'w str>> {
    let within = rest.iter().find_map(|word| {
        let (option, names) = word.split_once('=')?;
        ["-t", "--target", "--targets"].contains(&option).then_some(names)
    });
    let is_said = rest.iter().any(|word| ["-t", "--target", "--targets"].contains(word));
    match within {
        Some(names) => Some(names.split(',').collect()),
        None if is_said => Some(names.iter().flat_map(|names| names.split(',')).collect()),
        None => None,
    }
}
