//! A packet in hexadecimal, however it was copied.

/// The bytes of a packet in hexadecimal, with spaces, colons, dots or dashes anywhere between them.
///
/// # Errors
/// Says what is wrong, and where.
pub fn read_hex(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for (at, character) in digits.chars().enumerate() {
        if character.is_whitespace() || matches!(character, ':' | '.' | '-') {
            continue;
        }
        let Some(digit) = character.to_digit(16) else {
            return Err(format!(
                "`{character}` at character {} of the packet is no hexadecimal digit",
                at + 1
            ));
        };
        let digit = u8::try_from(digit).expect("a hexadecimal digit is less than 16");
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(format!(
            "the packet has half a byte too many: {} bytes and one more digit",
            bytes.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_digits_does_not_matter() {
        let bytes = Ok(vec![0x02, 0x00, 0xff]);
        for text in ["0200ff", "02 00 FF", "02:00:ff", "0x0200ff", " 0200.ff\n"] {
            assert_eq!(read_hex(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_hex_is_refused_with_its_place() {
        let no_digit = "`g` at character 4 of the packet is no hexadecimal digit";
        assert_eq!(read_hex("02 g0"), Err(no_digit.to_owned()));
        let half = "the packet has half a byte too many: 1 bytes and one more digit";
        assert_eq!(read_hex("020"), Err(half.to_owned()));
    }
}
