//! Where in a node something stands, for messages about what was read from it.

use crate::yaml::{Entry, Node, Shape, Span};

impl Node {
    /// The best place to point at for `path`, for example `buckets[1].output`.
    ///
    /// A step that is not there directly is looked for in what lies below, so that
    /// a caller needs to know the names of things but not how the file nests
    /// them. When nothing more is found, the place found so far is the answer.
    pub fn locate(&self, path: &str) -> Span {
        let mut node = self;
        let mut span = self.span;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let found = match step
                .strip_suffix(']')
                .and_then(|index| index.parse::<usize>().ok())
            {
                Some(index) => match &node.shape {
                    Shape::List(items) => items.get(index).map(|item| (item.span, item)),
                    _ => None,
                },
                None => node.find(step).map(|entry| {
                    let scalar = matches!(entry.value.shape, Shape::Scalar(_));
                    (
                        if scalar {
                            entry.value.span
                        } else {
                            entry.key_span
                        },
                        &entry.value,
                    )
                }),
            };
            let Some(found) = found else { break };
            (span, node) = found;
        }
        span
    }

    fn find(&self, key: &str) -> Option<&Entry> {
        match &self.shape {
            Shape::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .or_else(|| entries.iter().find_map(|entry| entry.value.find(key))),
            Shape::List(items) => items.iter().find_map(|item| item.find(key)),
            Shape::Null | Shape::Scalar(_) => None,
        }
    }

    /// The place of the first thing in `message` that this mapping names: a key of it, or a
    /// value. `ignored` are top-level keys that say nothing about what is wrong.
    ///
    /// Errors of the switch speak of fields and ports by the names that the user gave them, but
    /// do not know where these stand.
    pub fn named_in(&self, message: &str, ignored: &[&str]) -> Option<Span> {
        let Shape::Map(entries) = &self.shape else {
            return None;
        };
        let entries = entries
            .iter()
            .filter(|entry| !ignored.contains(&entry.key.as_str()));
        let entries: Vec<_> = entries.collect();
        let separates = |c: char| !c.is_ascii_alphanumeric() && !"_-./:".contains(c);
        let words = message.split(separates);
        // `set.eth_dst` is the key `eth_dst`; a sentence's last word has its stop.
        let words = words.map(|word| word.trim_end_matches(['.', ':']));
        let mut words = words.map(|word| word.strip_prefix("set.").unwrap_or(word));
        words.find_map(|word| {
            let named = |entry: &&Entry| entry.named(word);
            entries.iter().find_map(named)
        })
    }
}

impl Entry {
    fn named(&self, word: &str) -> Option<Span> {
        if self.key == word {
            let scalar = matches!(self.value.shape, Shape::Scalar(_));
            return Some(if scalar {
                self.value.span
            } else {
                self.key_span
            });
        }
        self.value.scalar_named(word)
    }
}

impl Node {
    fn scalar_named(&self, word: &str) -> Option<Span> {
        match &self.shape {
            // A number is in too many messages that mean another.
            Shape::Scalar(text) => {
                let telling = text == word && !word.bytes().all(|byte| byte.is_ascii_digit());
                telling.then_some(self.span)
            }
            Shape::Map(entries) => entries.iter().find_map(|entry| entry.named(word)),
            Shape::List(items) => items.iter().find_map(|item| item.scalar_named(word)),
            Shape::Null => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml::parse;

    #[test]
    fn locate_finds_the_deepest_step_it_can() {
        let source = "next: n\nbuckets:\n  - { weight: 1, set: { eth_src: aa }, output: 7 }\n";
        let document = &parse(source).expect("valid YAML")[0];
        let at = |path| {
            let span = document.locate(path);
            &source[span.start..span.start + span.length]
        };
        assert_eq!(at("buckets[0].output"), "7");
        assert_eq!(at("buckets[0].eth_src"), "aa");
        assert_eq!(at("weight.nothing"), "1");
    }

    #[test]
    fn what_a_message_names_is_found() {
        let source = "forward: web\nflag: specific\nselector: { ip_dscp: ef, in_port: 3 }\n\
                      treatment: { set: { eth_dst: aa }, output: swp65 }\nnext: spines\n";
        let document = &parse(source).expect("valid YAML")[0];
        let at = |message| {
            let span = document.named_in(message, &["forward", "flag"])?;
            Some(&source[span.start..span.start + span.length])
        };
        assert_eq!(
            at("it has no specific forward with ip_dscp; it has: in_port"),
            Some("ef")
        );
        assert_eq!(
            at("the switch has no port swp65; it has swp3 (3)"),
            Some("swp65")
        );
        assert_eq!(at("set.eth_dst cannot be done alone"), Some("aa"));
        assert_eq!(at("waits for next spines."), Some("spines"));
        assert_eq!(at("table routing holds 3 entries and is full"), None);
    }
}
