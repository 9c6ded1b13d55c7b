//! A plain matcher for the patterns worlds use (spec section 4.4): no states, no shared walk, one path at a
//! time.

/// Which of a pattern list's paths a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Not matched, or removed by a negation.
    No,
    /// By a literal: whatever it is, whatever git ignores.
    Literal,
    /// By a glob: counts if it is no directory and not ignored.
    Glob,
}

/// How a list of patterns matches a path.
pub(crate) fn matched(patterns: &[String], path: &str) -> Match {
    let path: Vec<&str> = path.split('/').collect();
    let removes = |pattern: &str| {
        let whole =
            |end: usize| alternatives(pattern).iter().any(|one| fits(&segments(one), &path[..end], true));
        (1..=path.len()).any(whole)
    };
    if patterns.iter().filter_map(|p| p.strip_prefix('!')).any(removes) {
        return Match::No;
    }
    let positive = patterns.iter().filter(|p| !p.starts_with('!')).flat_map(|p| alternatives(p));
    let (literals, globs): (Vec<String>, Vec<String>) = positive.partition(|p| !p.contains(['*', '?', '[']));
    if literals.iter().any(|literal| path.starts_with(&segments(literal))) {
        Match::Literal
    } else if globs.iter().any(|glob| fits(&segments(glob), &path, false)) {
        Match::Glob
    } else {
        Match::No
    }
}

fn segments(pattern: &str) -> Vec<&str> {
    pattern.split('/').collect()
}

/// The patterns a pattern with braces stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((head, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (inner, tail) = rest.split_once('}').unwrap();
    inner.split(',').flat_map(|one| alternatives(&format!("{head}{one}{tail}"))).collect()
}

fn fits(pattern: &[&str], path: &[&str], hidden: bool) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([], _) | ([_, ..], []) => false,
        (["**", rest @ ..], [name, deeper @ ..]) => {
            let passes = hidden || !name.starts_with('.');
            passes && (rest.is_empty() && deeper.is_empty() || fits(pattern, deeper, hidden))
                || !rest.is_empty() && fits(rest, path, hidden)
        }
        ([first, rest @ ..], [name, deeper @ ..]) => {
            let visible = hidden || !name.starts_with('.') || first.starts_with('.');
            visible && wild(first, name) && fits(rest, deeper, hidden)
        }
    }
}

fn wild(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).any(|at| wild(rest.as_str(), &name[at..])),
        Some('[') => {
            let (set, rest) = rest.as_str().split_once(']').unwrap();
            name.chars().next().is_some_and(|c| set.contains(c)) && wild(rest, &name[1..])
        }
        Some(c) => name.starts_with(|n| c == '?' || n == c) && wild(rest.as_str(), &name[1..]),
    }
}

#[test]
fn the_matcher_knows_the_rules() {
    let cases = [
        ("src/a.txt", "src/a.txt", Match::Literal),
        ("src", "src/.h/x", Match::Literal),
        ("src/**", "src/d/a.txt", Match::Glob),
        ("src/**", "src", Match::No),
        ("src/**", "src/.h", Match::No),
        ("src/**/.h", "src/d/.h", Match::Glob),
        ("**/b.txt", "b.txt", Match::Glob),
        ("{src,lib}/?.txt", "lib/b.txt", Match::Glob),
        ("src/[ab].txt", "src/c.txt", Match::No),
        ("src/** !src/d", "src/d/a.txt", Match::No),
        ("src/** !**/b.txt", "src/b.txt/a.txt", Match::No),
    ];
    for (patterns, path, expected) in cases {
        let patterns: Vec<String> = patterns.split(' ').map(str::to_owned).collect();
        assert_eq!(matched(&patterns, path), expected, "{patterns:?} on {path}");
    }
}
