//! Bytes to lines, in bounded memory.

/// The longest line, in bytes; a longer one comes in pieces.
pub(super) const LONGEST: usize = 1024 * 1024;

/// Takes bytes as they come and hands out lines. What is no UTF-8 is replaced.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has not ended; shorter than [`LONGEST`].
    rest: Vec<u8>,
    /// Pieces of it have been handed out.
    is_cut: bool,
}

impl Lines {
    /// Takes bytes; `each` gets the lines that they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = &bytes[..bytes.len().min(LONGEST - self.rest.len())];
            let end = room.iter().position(|byte| *byte == b'\n');
            self.rest.extend_from_slice(&room[..end.unwrap_or(room.len())]);
            bytes = &bytes[end.map_or(room.len(), |end| end + 1)..];
            if end.is_some() {
                self.finish(&mut each);
            } else if self.rest.len() == LONGEST {
                let piece: Vec<u8> = self.rest.drain(..whole(&self.rest)).collect();
                each(&String::from_utf8_lossy(&piece));
                self.is_cut = true;
            }
        }
    }

    fn finish(&mut self, each: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.rest);
        // Of a line that has been handed out as a whole there is nothing left.
        if !(std::mem::take(&mut self.is_cut) && line.is_empty()) {
            each(&String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)));
        }
    }

    /// The last line, where no newline ends it.
    pub(super) fn end(self, mut each: impl FnMut(&str)) {
        if !self.rest.is_empty() {
            each(&String::from_utf8_lossy(&self.rest));
        }
    }
}

/// How many of these bytes there are without a character at their end that is only begun.
fn whole(bytes: &[u8]) -> usize {
    let is_start = |byte: &u8| *byte & 0b1100_0000 != 0b1000_0000;
    let last =
        bytes.iter().rev().take(4).position(is_start).map_or(bytes.len(), |back| bytes.len() - 1 - back);
    match std::str::from_utf8(&bytes[last..]) {
        Err(error) if error.error_len().is_none() && last > 0 => last,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line.to_owned()));
        }
        lines.end(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let cases: [(&[u8], &[&str]); 5] = [
            (b"", &[]),
            (b"a\n\nb", &["a", "", "b"]),
            (b"a\r\nb\rc\n", &["a", "b\rc"]),
            ("ä\n€\n".as_bytes(), &["ä", "€"]),
            (b"a\xffb\n\xe2\x82\n", &["a\u{fffd}b", "\u{fffd}"]),
        ];
        for (bytes, expected) in cases {
            for cut in 0..=bytes.len() {
                assert_eq!(lines(&[&bytes[..cut], &bytes[cut..]]), expected, "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces_of_whole_characters() {
        for text in
            ["x".repeat(LONGEST * 2 + 5), format!("x{}", "€".repeat(LONGEST)), "ä".repeat(LONGEST / 2)]
        {
            let mut pieces = lines(&[text.as_bytes(), b"\nend"]);
            assert_eq!(pieces.pop().unwrap(), "end");
            assert!(pieces.iter().all(|piece| piece.len() <= LONGEST));
            assert_eq!(pieces.len(), text.len().div_ceil(LONGEST));
            assert_eq!(pieces.concat(), text);
        }
        // What is no text at all is cut anywhere.
        let pieces = lines(&[&vec![0x80; LONGEST + 1]]);
        assert_eq!(pieces.iter().map(|piece| piece.chars().count()).sum::<usize>(), LONGEST + 1);
    }
}
