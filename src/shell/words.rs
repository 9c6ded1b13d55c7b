//! Values, quoted so that a shell takes them as they are.

use std::fmt::Write as _;

/// A shell, or what else reads variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// bash, and what direnv reads.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// One JSON object.
    Json,
}

/// A value as a word of this shell: printable ASCII only, whatever its bytes are. There is no such word for a NUL,
/// which no variable can hold.
#[must_use]
pub fn quoted(dialect: Dialect, value: &[u8]) -> String {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\'' && *byte != b'\\';
    if value.iter().all(is_plain) {
        return format!("'{}'", String::from_utf8_lossy(value));
    }
    if dialect == Dialect::Fish { fish(value) } else { escaped(value) }
}

/// A value as a word of every shell of POSIX, which knows no escapes: byte for byte.
#[must_use]
pub fn posix(value: &[u8]) -> Vec<u8> {
    let mut word = b"'".to_vec();
    for byte in value {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

/// The value of a word as [`posix`] writes it, and what stands behind that; none if it is no such word.
#[must_use]
pub fn posix_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"'")?;
    let mut value = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        value.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(more) = rest.strip_prefix(br"\''") else { return Some((value, rest)) };
        value.push(b'\'');
        rest = more;
    }
}

/// `$'…'`, which bash and zsh understand alike.
fn escaped(value: &[u8]) -> String {
    let mut word = "$'".to_owned();
    for byte in value {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(*byte)]),
            b'\n' => word.push_str("\\n"),
            b' '..=b'~' => word.push(char::from(*byte)),
            // Always two digits: what follows is never taken for a third. Memory takes whatever is written.
            _ => drop(write!(word, "\\x{byte:02x}")),
        }
    }
    word.push('\'');
    word
}

/// fish knows escapes outside of quotes only; `\X` is a byte, `\x` a character.
fn fish(value: &[u8]) -> String {
    let (mut word, mut is_open) = (String::new(), false);
    for byte in value {
        let is_printable = (b' '..=b'~').contains(byte);
        if is_printable != is_open {
            word.push('\'');
            is_open = is_printable;
        }
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(*byte)]),
            _ if is_printable => word.push(char::from(*byte)),
            b'\n' => word.push_str("\\n"),
            _ => drop(write!(word, "\\X{byte:02x}")),
        }
    }
    if is_open {
        word.push('\'');
    }
    word
}

/// A line that sets and exports a variable.
pub(super) fn assignment(dialect: Dialect, name: &str, value: &[u8]) -> String {
    let value = quoted(dialect, value);
    match dialect {
        Dialect::Fish => format!("set -gx {name} {value}\n"),
        _ => format!("export {name}={value}\n"),
    }
}

/// A line that puts these before `PATH`.
pub(super) fn before_path(dialect: Dialect, parts: &[Vec<u8>]) -> String {
    let words: Vec<String> = parts.iter().map(|part| quoted(dialect, part)).collect();
    match (dialect, words.as_slice()) {
        (_, []) => String::new(),
        (Dialect::Fish, _) => format!("set -gx PATH {} $PATH\n", words.join(" ")),
        // Without a colon after it where there is nothing else: an empty part is the working directory.
        _ => format!("export PATH={}\"${{PATH:+:$PATH}}\"\n", words.join(":")),
    }
}

/// Lines that put those of these before `PATH` that are not in it.
pub(super) fn in_path(dialect: Dialect, parts: &[Vec<u8>]) -> String {
    let line = |part: &Vec<u8>| {
        let word = quoted(dialect, part);
        match dialect {
            Dialect::Fish => format!("contains -- {word} $PATH; or set -gx PATH {word} $PATH\n"),
            _ => format!(
                "case \":$PATH:\" in *:{word}:*) ;; *) export PATH={word}\"${{PATH:+:$PATH}}\" ;; esac\n"
            ),
        }
    };
    parts.iter().rev().filter(|part| !part.is_empty()).map(line).collect()
}
