//! What is wrong, in bounded memory: servers may say anything, and for ever.

/// Faults that are told of one row.
const MOST: usize = 5;
/// Characters of a fault that are told.
const LONGEST: usize = 300;

/// Some faults, each once, the first of them in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    first: Vec<String>,
    more: usize,
}

impl Faults {
    /// Adds one.
    pub(super) fn add(&mut self, fault: &str) {
        let fault = cut(fault);
        if self.first.contains(&fault) {
            return;
        }
        if self.first.len() < MOST {
            self.first.push(fault);
        } else {
            self.more += 1;
        }
    }

    /// Adds those of others.
    pub(super) fn append(&mut self, other: Self) {
        other.first.iter().for_each(|fault| self.add(fault));
        self.more += other.more;
    }

    /// All of them in one line; none if there are none.
    pub(super) fn told(&self) -> Option<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        let all: Vec<&str> = self.first.iter().chain(&more).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A text in a sane length.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_endless_ones_are_counted() {
        let told = |faults: &[&str]| {
            let mut all = Faults::default();
            faults.iter().for_each(|fault| all.add(fault));
            all.told()
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["a", "b", "a"]).as_deref(), Some("a; b"));
        assert_eq!(told(&["a", "b", "c", "d", "e", "f", "g"]).as_deref(), Some("a; b; c; d; e; and 2 more"));
        let long = "ü".repeat(LONGEST + 1);
        assert_eq!(told(&[&long]), Some(format!("{}…", "ü".repeat(LONGEST))));
    }
}
