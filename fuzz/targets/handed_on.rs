//! What a task leaves: its output, its exports, and what the `exports` hook wrote. What is taken from it can be
//! handed to the next task as variables, and a file written anew from it gives the same again.

use data_encoding::BASE64;
use devtask::session::harvested;

/// Three files, divided by the byte 0xff, which stands in none of them.
pub(crate) fn check(data: &[u8]) {
    let mut files = data.splitn(3, |byte| *byte == 0xff);
    let mut next = || files.next().unwrap_or_default();
    let (output, exports, listed) = (next(), next(), next());
    let Ok((all, messages)) = harvested(output, exports, listed) else { return };
    for (name, value) in &all {
        assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?} names no variable");
        assert!(!value.contains(&0), "{name} has a value that no variable can hold");
    }
    let mut names: Vec<&String> = all.iter().map(|(name, _)| name).collect();
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name twice");
    assert!(messages.is_empty() || !output.is_empty(), "messages from nowhere");
    let field = |(name, value): &(String, Vec<u8>)| format!("{name}\0{}\0", BASE64.encode(value));
    // Blanks around a name are the file's, not the name's.
    let plain = |(name, _): &&(String, Vec<u8>)| name.trim_ascii() == name;
    if all.iter().all(|export| plain(&export)) {
        let written: String = all.iter().map(field).collect();
        assert_eq!(harvested(b"", written.as_bytes(), b"").map(|(again, _)| again), Ok(all));
    }
}
