//! The fields of a protobuf message, one after the other, where they are.
//!
//! It knows numbers and what has a length. All else of the format is rare, or no message at all; it is
//! [`Unusual`], and prost says what it is.

/// A field's number and what is in it.
pub(super) type Field<'a> = (u32, Value<'a>);

/// What is in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number or an enum.
    Number(u64),
    /// A byte string, a text or a message.
    Bytes(&'a [u8]),
}

/// It is left to prost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusual;

/// The fields that are left.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Those of a message.
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn byte(&mut self) -> Result<u8, Unusual> {
        let (byte, rest) = self.0.split_first().ok_or(Unusual)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, Unusual> {
        match *self.0 {
            [byte @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Unusual> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            // The tenth has room for a single bit.
            if shift == 63 && byte > 1 {
                return Err(Unusual);
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unusual)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Unusual> {
        let length = usize::try_from(self.number()?).map_err(|_| Unusual)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Unusual)?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, Unusual> {
        let key = u32::try_from(self.number()?).map_err(|_| Unusual)?;
        let value = match (key >> 3, key & 7) {
            (0, _) => return Err(Unusual),
            (_, 0) => Value::Number(self.number()?),
            (_, 2) => Value::Bytes(self.bytes()?),
            _ => return Err(Unusual),
        };
        Ok((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Unusual>;

    /// After an error there is nothing more.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    /// A message, a text or a byte string.
    pub fn into_bytes(self) -> Result<&'a [u8], Unusual> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number(_) => Err(Unusual),
        }
    }

    /// A number that is not negative and fits; what prost makes of others is its own matter.
    pub fn into_number<N: TryFrom<u64>>(self) -> Result<N, Unusual> {
        match self {
            Value::Number(number) => N::try_from(number).map_err(|_| Unusual),
            Value::Bytes(_) => Err(Unusual),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Vec<Result<Field<'_>, Unusual>> {
        Fields::of(message).collect()
    }

    #[test]
    fn numbers_and_what_has_a_length() {
        assert_eq!(
            read(&[0x08, 0x96, 0x01, 0x12, 2, b'h', b'i']),
            [Ok((1, Value::Number(150))), Ok((2, Value::Bytes(b"hi")))]
        );
        let largest = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(read(&largest), [Ok((1, Value::Number(u64::MAX)))]);
    }

    #[test]
    fn whatever_else_ends_the_message() {
        let cut = [0x12, 3, b'h', b'i'];
        let unending = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2];
        let fixed = [0x0d, 1, 2, 3, 4];
        for unusual in [cut.as_slice(), &unending, &fixed, &[0x00, 0], &[0x80]] {
            assert_eq!(read(unusual), [Err(Unusual)], "{unusual:?}");
        }
    }
}
