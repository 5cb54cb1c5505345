//! Text to tokens.

use num_bigint::BigInt;
use num_traits::Num;

use super::error::Fault;
use super::source::Span;

/// A word of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// `hdr`, `true`, `ipv4`.
    Name(String),
    /// In any of its notations.
    Number(BigInt),
    /// Between single quotation marks.
    Text(String),
    /// `&&`, `::`, `(` and so on.
    Symbol(&'static str),
    /// After the last word.
    End,
}

impl Token {
    /// As it is named in messages.
    pub fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("`{name}`"),
            Token::Number(number) => format!("the number {number}"),
            Token::Text(text) => format!("'{text}'"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// The longer before what they begin with.
const SYMBOLS: [&str; 16] = [
    "&&", "||", "->", "::", "==", "!=", ">=", "<=", "!", "(", ")", ">", "<", ".", ";", "-",
];

/// All tokens of a text with their places; the last is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token, Span)>, (Span, Fault)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let span = |length: usize| Span {
            start: at,
            end: at + length,
        };
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/");
            let end = end.ok_or((span(2), Fault::Unterminated("comment")))?;
            at += end + 4;
        } else if first == '\'' {
            let end = rest[1..].find('\'');
            let end = end.ok_or((span(1), Fault::Unterminated("string")))?;
            tokens.push((Token::Text(rest[1..=end].to_owned()), span(end + 2)));
            at += end + 2;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = word(rest);
            tokens.push((Token::Name(rest[..length].to_owned()), span(length)));
            at += length;
        } else if first.is_ascii_digit() {
            let length = word(rest);
            let number = number(&rest[..length]).ok_or_else(|| {
                let fault = Fault::Unexpected {
                    found: format!("`{}`", &rest[..length]),
                    expected: "a number (255, 0xff, 0b11111111, 0o377)",
                };
                (span(length), fault)
            })?;
            tokens.push((Token::Number(number), span(length)));
            at += length;
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push((Token::Symbol(symbol), span(symbol.len())));
            at += symbol.len();
        } else {
            return Err((span(first.len_utf8()), Fault::Character(first)));
        }
    }
    let end = Span { start: at, end: at };
    tokens.push((Token::End, end));
    Ok(tokens)
}

/// Bytes of the name or number that a text begins with.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn number(word: &str) -> Option<BigInt> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', b'b' | b'B', ..] => (&word[2..], 2),
        [b'0', b'o' | b'O', ..] => (&word[2..], 8),
        [b'0', b'd' | b'D', ..] => (&word[2..], 10),
        _ => (word, 10),
    };
    // `from_str_radix` takes underscores, the language does not.
    (!digits.contains('_')).then(|| BigInt::from_str_radix(digits, radix).ok())?
}
