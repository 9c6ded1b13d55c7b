//! Bytes to messages: one JSON object a line, or several one right after the other.
//!
//! Only the end of each object is looked for here; whether it is JSON is found out when it is parsed. Nothing makes
//! the reader wait for what cannot come any more: an object that a line breaks off is handed out as it is, to be
//! told as broken. Memory is bounded by [`LIMIT`].

/// The longest message, in bytes.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// Takes bytes as they come and hands out messages.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where what was not handed out yet begins.
    begin: usize,
    /// How far it was looked at.
    at: usize,
    state: State,
    limit: usize,
}

/// A message is longer than it may be; nothing that follows can be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than {} MiB", LIMIT / 1024 / 1024)]
pub struct TooLong;

/// What the bytes up to now are in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but white space.
    Between,
    /// An object, that many braces and brackets deep.
    Object { depth: usize },
    /// A string in it; whether the next character is escaped.
    String { depth: usize, escaped: bool },
    /// Something that begins like no object: up to the end of the line.
    Line,
}

impl Default for Frames {
    fn default() -> Self {
        Self { bytes: Vec::new(), begin: 0, at: 0, state: State::Between, limit: LIMIT }
    }
}

impl Frames {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.begin);
        self.at -= self.begin;
        self.begin = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a message has begun that has not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.state != State::Between
    }

    /// The next message, as far as it is there.
    ///
    /// # Errors
    /// [`TooLong`], and then again and again.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        while let Some(&byte) = self.bytes.get(self.at) {
            let end = self.step(byte);
            if end.unwrap_or(self.at).saturating_sub(self.begin) > self.limit {
                return Err(TooLong);
            }
            match end {
                Some(end) => {
                    let frame = self.bytes[self.begin..end].to_vec();
                    (self.begin, self.at, self.state) = (end, end, State::Between);
                    return Ok(Some(frame));
                }
                None => self.at += 1,
            }
        }
        Ok(None)
    }

    /// What is left when nothing more comes: the beginning of a message that never ended.
    #[must_use]
    pub fn rest(self) -> Option<Vec<u8>> {
        (self.state != State::Between).then(|| self.bytes[self.begin..].to_vec())
    }

    /// Looks at one byte; where the message ends, if it ends with it. What is too long is looked at again and again.
    fn step(&mut self, byte: u8) -> Option<usize> {
        use State::{Between, Line, Object, String};
        self.state = match (self.state, byte) {
            (Between, b' ' | b'\t' | b'\r' | b'\n') => {
                self.begin = self.at + 1;
                Between
            }
            (Between, b'{') => Object { depth: 1 },
            (Between, _) => Line,
            // Within an object there is none: the rest of it will not come.
            (Object { .. } | String { .. } | Line, b'\n') => return Some(self.at),
            (Line, _) => Line,
            (Object { depth }, b'{' | b'[') => Object { depth: depth + 1 },
            (Object { depth: 1 }, b'}' | b']') => return Some(self.at + 1),
            (Object { depth }, b'}' | b']') => Object { depth: depth - 1 },
            (Object { depth }, b'"') => String { depth, escaped: false },
            (Object { depth }, _) => Object { depth },
            (String { depth, escaped: false }, b'"') => Object { depth },
            (String { depth, escaped }, byte) => String { depth, escaped: !escaped && byte == b'\\' },
        };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&str]) -> (Vec<String>, Option<String>) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for chunk in chunks {
            frames.push(chunk.as_bytes());
            while let Some(frame) = frames.take().unwrap() {
                found.push(text(frame));
            }
        }
        (found, frames.rest().map(text))
    }

    #[test]
    fn messages_are_told_apart_however_they_are_cut() {
        let cases: [(&str, &[&str], Option<&str>); 12] = [
            ("", &[], None),
            (" \r\n\n", &[], None),
            ("{}\n", &["{}"], None),
            ("{}{\"a\":{}}\n", &["{}", "{\"a\":{}}"], None),
            ("  {\"a\":[1,{}]} {}", &["{\"a\":[1,{}]}", "{}"], None),
            (r#"{"a":"}{\"}\\"}{}"#, &[r#"{"a":"}{\"}\\"}"#, "{}"], None),
            ("{\"a\":\n{}\n", &["{\"a\":", "{}"], None),
            ("{\"a\n{}", &["{\"a", "{}"], None),
            ("no\n{}", &["no", "{}"], None),
            ("{}no\n{}", &["{}", "no", "{}"], None),
            ("[{}]\n", &["[{}]"], None),
            ("{}\n{\"a\":1", &["{}"], Some("{\"a\":1")),
        ];
        for (text, expected, rest) in cases {
            for cut in 0..=text.len() {
                let (found, left) = frames(&[&text[..cut], &text[cut..]]);
                assert_eq!(
                    (found, left.as_deref()),
                    (expected.iter().map(|s| (*s).to_owned()).collect(), rest)
                );
            }
            let single: Vec<String> = text.chars().map(String::from).collect();
            let (found, _) = frames(&single.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_too_long_is_told_and_not_kept() {
        for text in ["{\"a\":\"xxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxx", "{\"a\":\"xxxxxxxxxxxxxxxx\"}\n"]
        {
            let mut frames = Frames { limit: 10, ..Frames::default() };
            frames.push(text.as_bytes());
            assert_eq!(frames.take(), Err(TooLong), "{text}");
            assert_eq!(frames.take(), Err(TooLong), "{text}");
        }
        let mut frames = Frames { limit: 10, ..Frames::default() };
        frames.push(b"                              {\"a\":true}{\"a\":false}");
        assert_eq!(frames.take(), Ok(Some(b"{\"a\":true}".to_vec())));
        assert_eq!(frames.take(), Err(TooLong));
    }

    /// Any bytes, however they are cut: no panic, no hang, nothing is lost but white space between messages.
    #[test]
    fn random_bytes_are_taken_apart_the_same_way_however_they_are_cut() {
        let mut rng = fastrand::Rng::with_seed(6);
        for _ in 0..20_000 {
            let length = rng.usize(..60);
            let byte = |rng: &mut fastrand::Rng| match rng.u8(..10) {
                0 => rng.u8(..),
                _ => *rng.choice(b"{}[]\"\\ ,:1an\n".iter()).unwrap(),
            };
            let bytes: Vec<u8> = (0..length).map(|_| byte(&mut rng)).collect();
            let whole = taken(&bytes, &mut std::iter::repeat_with(|| usize::MAX));
            let cut = taken(&bytes, &mut std::iter::repeat_with(|| rng.usize(1..9)));
            assert_eq!(whole, cut, "{bytes:?}");
            let kept: usize = whole.iter().map(Vec::len).sum();
            let spaces = bytes.iter().filter(|b| b.is_ascii_whitespace()).count();
            assert!(kept + spaces >= bytes.len(), "{bytes:?}: {whole:?}");
        }
    }

    fn taken(bytes: &[u8], sizes: &mut dyn Iterator<Item = usize>) -> Vec<Vec<u8>> {
        let (mut frames, mut found, mut left) = (Frames::default(), Vec::new(), bytes);
        while !left.is_empty() {
            let (now, later) = left.split_at(sizes.next().unwrap().min(left.len()));
            left = later;
            frames.push(now);
            while let Some(frame) = frames.take().unwrap() {
                found.push(frame);
            }
        }
        found.extend(frames.rest());
        found
    }
}
