//! Matching one name against one segment of a pattern.
//!
//! Names are bytes: a `?` is one character where the bytes are UTF-8 and one byte where they are not.

/// One step of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Char(char),
    /// `?`: any one character.
    Any,
    /// `*`: any number of characters.
    Star,
    /// `[…]`: one of some characters.
    Class(Class),
}

/// `[ab]`, `[a-z]`, `[!a]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) negated: bool,
    /// First and last character of each range, both included.
    pub(super) ranges: Vec<(char, char)>,
}

/// What one segment of a pattern asks of one segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Exactly this name.
    Literal(Vec<u8>),
    /// A name that fits. Never empty, and with at least one token that is no character.
    Wild(Vec<Token>),
    /// `**`: any number of names, none included.
    AnyDepth,
}

impl Segment {
    /// The segment made of these tokens.
    pub(super) fn new(tokens: &[Token]) -> Self {
        if matches!(tokens, [Token::Star, Token::Star]) {
            return Self::AnyDepth;
        }
        let text: Option<String> = tokens.iter().map(Token::as_char).collect();
        text.map_or_else(|| Self::Wild(tokens.to_vec()), |text| Self::Literal(text.into_bytes()))
    }

    /// Whether `name` fits. `hidden`: whether a leading dot need not be spelled out (spec section 4.4).
    pub(super) fn matches(&self, name: &[u8], hidden: bool) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Wild(tokens) => {
                let visible = hidden || !name.starts_with(b".") || tokens.first() == Some(&Token::Char('.'));
                visible && fits(tokens, name)
            }
            Self::AnyDepth => hidden || !name.starts_with(b"."),
        }
    }
}

impl Token {
    fn as_char(&self) -> Option<char> {
        match self {
            Self::Char(c) => Some(*c),
            Self::Any | Self::Star | Self::Class(_) => None,
        }
    }

    /// Whether this token, which is no star, takes `unit`.
    fn takes(&self, unit: Option<char>) -> bool {
        match self {
            Self::Char(c) => unit == Some(*c),
            Self::Any => true,
            Self::Star => false,
            Self::Class(class) => {
                let listed =
                    unit.is_some_and(|c| class.ranges.iter().any(|&(low, high)| low <= c && c <= high));
                listed != class.negated
            }
        }
    }
}

/// Whether the tokens take the whole name. When something does not fit, only the last star seen needs to
/// try a longer piece: what stands before it already fits, so the cost is at most length times tokens.
fn fits(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let unit = (at < name.len()).then(|| first_unit(&name[at..]));
        match (tokens.get(token), unit) {
            (Some(Token::Star), _) => {
                token += 1;
                retry = Some((token, at));
            }
            (None, None) => return true,
            (Some(wanted), Some((unit, length))) if wanted.takes(unit) => {
                token += 1;
                at += length;
            }
            _ => match retry {
                Some((after, from)) if from < name.len() => {
                    (token, at) = (after, from + first_unit(&name[from..]).1);
                    retry = Some((token, at));
                }
                _ => return false,
            },
        }
    }
}

/// The first character and its length; a byte that is not UTF-8 stands alone as `None`.
fn first_unit(bytes: &[u8]) -> (Option<char>, usize) {
    if let Some(&byte) = bytes.first()
        && byte.is_ascii()
    {
        return (Some(char::from(byte)), 1);
    }
    let start = &bytes[..bytes.len().min(4)];
    let valid = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    valid.chars().next().map_or((None, 1), |c| (Some(c), c.len_utf8()))
}
