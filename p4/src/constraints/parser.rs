//! Tokens to a tree.
//!
//! From the loosest to the tightest: `;`, `->`, `||`, `&&`, comparisons, `!` and `-`, `::`. Neither
//! `->` nor comparisons may follow one another without parentheses.

use std::net::{Ipv4Addr, Ipv6Addr};

use num_bigint::BigInt;

use super::error::Fault;
use super::lexer::{Token, tokens};
use super::source::Span;
use super::syntax::{Compare, Logic, Node, NodeKind};

type Parsed = Result<Node, (Span, Fault)>;

/// Parentheses and negations within each other: deeper than any program, shallower than a stack.
const DEEPEST: usize = 50;

/// Reads a constraint.
pub fn parse(text: &str) -> Parsed {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let node = parser.sequence()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// Never empty: the last one is the end.
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
}

const COMPARISONS: [(&str, Compare); 6] = [
    ("==", Compare::Equal),
    ("!=", Compare::NotEqual),
    (">", Compare::Greater),
    (">=", Compare::GreaterOrEqual),
    ("<", Compare::Less),
    ("<=", Compare::LessOrEqual),
];

impl Parser {
    fn sequence(&mut self) -> Parsed {
        let mut parts = vec![self.implication()?];
        while self.take(";") {
            // The last one may end with it, too.
            if matches!(self.peek(), Token::End | Token::Symbol(")")) {
                break;
            }
            parts.push(self.implication()?);
        }
        Ok(all(Logic::And, parts))
    }

    fn implication(&mut self) -> Parsed {
        let left = self.disjunction()?;
        if !self.take("->") {
            return Ok(left);
        }
        let right = self.disjunction()?;
        match self.peek() {
            Token::Symbol("->") => Err((self.span(), Fault::Ambiguous("->", "->"))),
            _ => Ok(logic(Logic::Implies, left, right)),
        }
    }

    fn disjunction(&mut self) -> Parsed {
        let mut parts = vec![self.conjunction()?];
        while self.take("||") {
            parts.push(self.conjunction()?);
        }
        Ok(all(Logic::Or, parts))
    }

    fn conjunction(&mut self) -> Parsed {
        let mut parts = vec![self.comparison()?];
        while self.take("&&") {
            parts.push(self.comparison()?);
        }
        Ok(all(Logic::And, parts))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.unary()?;
        let Some((symbol, operator)) = self.take_comparison() else {
            return Ok(left);
        };
        let right = self.unary()?;
        if let Some((again, _)) = self.take_comparison() {
            self.at -= 1;
            return Err((self.span(), Fault::Ambiguous(again, symbol)));
        }
        let span = left.span.to(right.span);
        let kind = NodeKind::Compare(operator, Box::new(left), Box::new(right));
        Ok(Node { kind, span })
    }

    fn unary(&mut self) -> Parsed {
        let start = self.span();
        let wrap: fn(Box<Node>) -> NodeKind = match self.peek() {
            Token::Symbol("!") => NodeKind::Not,
            Token::Symbol("-") => NodeKind::Negative,
            _ => return self.projection(),
        };
        self.at += 1;
        let inner = self.deeper(Parser::unary)?;
        let span = start.to(inner.span);
        Ok(Node {
            kind: wrap(Box::new(inner)),
            span,
        })
    }

    fn projection(&mut self) -> Parsed {
        let mut node = self.atom()?;
        while self.take("::") {
            let (field, end) = self.name("the name of a field")?;
            let span = node.span.to(end);
            let kind = NodeKind::Field(Box::new(node), field);
            node = Node { kind, span };
        }
        Ok(node)
    }

    fn atom(&mut self) -> Parsed {
        let span = self.span();
        let kind = match self.peek().clone() {
            Token::Number(number) => NodeKind::Number(number),
            Token::Text(text) => NodeKind::Text(text),
            Token::Name(name) if name == "true" || name == "false" => {
                NodeKind::Bool(name == "true")
            }
            Token::Name(name) => return self.named(name, span),
            Token::Symbol("::") => {
                self.at += 1;
                let (name, end) = self.name("the name of an attribute")?;
                return Ok(Node {
                    kind: NodeKind::Attribute(name),
                    span: span.to(end),
                });
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.deeper(Parser::sequence)?;
                let end = self.span();
                self.expect(")")?;
                return Ok(Node {
                    kind: inner.kind,
                    span: span.to(end),
                });
            }
            Token::Symbol(_) | Token::End => {
                return Err(self.unexpected("a name, a number, `::`, `!`, `-` or `(`"));
            }
        };
        self.at += 1;
        Ok(Node { kind, span })
    }

    /// A key or parameter, or an address.
    fn named(&mut self, first: String, start: Span) -> Parsed {
        self.at += 1;
        let mut name = first;
        if let (Token::Symbol("("), Some(kind)) = (self.peek(), address_kind(&name)) {
            self.at += 1;
            return self.address(kind, start);
        }
        let mut end = start;
        while self.take(".") {
            let (part, span) = self.name("the next part of the name")?;
            name = format!("{name}.{part}");
            end = span;
        }
        Ok(Node {
            kind: NodeKind::Name(name),
            span: start.to(end),
        })
    }

    fn address(&mut self, kind: &'static str, start: Span) -> Parsed {
        let Token::Text(text) = self.peek().clone() else {
            return Err(self.unexpected("an address in single quotation marks"));
        };
        let place = self.span();
        self.at += 1;
        let number = address(kind, &text).ok_or((place, Fault::Address { kind, text }))?;
        let span = start.to(self.span());
        self.expect(")")?;
        Ok(Node {
            kind: NodeKind::Number(number),
            span,
        })
    }

    fn deeper(&mut self, parse: fn(&mut Parser) -> Parsed) -> Parsed {
        if self.depth == DEEPEST {
            return Err((self.span(), Fault::TooDeep(DEEPEST)));
        }
        self.depth += 1;
        let node = parse(self);
        self.depth -= 1;
        node
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        self.at += usize::from(found);
        found
    }

    fn take_comparison(&mut self) -> Option<(&'static str, Compare)> {
        let found = COMPARISONS
            .iter()
            .find(|(symbol, _)| *self.peek() == Token::Symbol(symbol));
        self.at += usize::from(found.is_some());
        found.copied()
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), (Span, Fault)> {
        match self.take(symbol) {
            true => Ok(()),
            false => Err(self.unexpected("`)`")),
        }
    }

    fn name(&mut self, expected: &'static str) -> Result<(String, Span), (Span, Fault)> {
        match self.peek().clone() {
            Token::Name(name) => {
                let span = self.span();
                self.at += 1;
                Ok((name, span))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn unexpected(&self, expected: &'static str) -> (Span, Fault) {
        let found = self.peek().describe();
        (self.span(), Fault::Unexpected { found, expected })
    }
}

/// One or more parts under an associative operator, as a tree that is as flat as it can be: however
/// long a constraint is, what goes through it does not go deep.
fn all(operator: Logic, mut parts: Vec<Node>) -> Node {
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => logic(operator, left, right),
                None => left,
            });
        }
        parts = pairs;
    }
    parts.pop().expect("there is at least one part")
}

fn logic(operator: Logic, left: Node, right: Node) -> Node {
    let span = left.span.to(right.span);
    Node {
        kind: NodeKind::Logic(operator, Box::new(left), Box::new(right)),
        span,
    }
}

fn address_kind(name: &str) -> Option<&'static str> {
    ["ipv4", "ipv6", "mac"].into_iter().find(|k| *k == name)
}

fn address(kind: &str, text: &str) -> Option<BigInt> {
    Some(match kind {
        "ipv4" => BigInt::from(u32::from(text.parse::<Ipv4Addr>().ok()?)),
        "ipv6" => BigInt::from(u128::from(text.parse::<Ipv6Addr>().ok()?)),
        _ => {
            let parts: Vec<&str> = text.split(':').collect();
            let is_byte = |part: &&str| matches!(part.len(), 1 | 2) && !part.starts_with('+');
            if parts.len() != 6 || !parts.iter().all(is_byte) {
                return None;
            }
            let mut number = 0u64;
            for part in parts {
                number = number << 8 | u64::from(u8::from_str_radix(part, 16).ok()?);
            }
            BigInt::from(number)
        }
    })
}
