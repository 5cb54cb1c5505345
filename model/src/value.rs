//! The values that objectives are made of, each with one spelling.
//!
//! Every type here is valid by construction: a [`VlanId`] is in range, a prefix
//! has no bits behind its length.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a piece of text is not the value it should be. The message says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not six bytes in hexadecimal.
    #[error("`{0}` is not a MAC address; write six bytes in hexadecimal, like 00:00:5e:00:53:01")]
    Mac(String),
    /// Outside 1..=4094 or not a number.
    #[error("`{0}` is not a VLAN; write a number from 1 to 4094")]
    Vlan(String),
    /// Not an IPv4 address.
    #[error("`{0}` is not an IPv4 address; write four numbers from 0 to 255, like 10.0.2.1")]
    Ipv4(String),
    /// Not an IPv6 address.
    #[error("`{0}` is not an IPv6 address; write it like 2001:db8::1")]
    Ipv6(String),
    /// A prefix length that is not a number or too large.
    #[error("`{text}` is not a prefix length; write a number from 0 to {max}")]
    PrefixLength {
        /// What stands after the slash.
        text: String,
        /// 32 or 128.
        max: u8,
    },
    /// Address bits behind the prefix length.
    #[error("the prefix {found} has host bits set; did you mean {meant}?")]
    HostBits {
        /// As written.
        found: String,
        /// The same with the host bits cleared.
        meant: String,
    },
    /// Not a port number and not a name.
    #[error("`{0}` is not a port; write its number (1 or more) or its name without spaces")]
    Port(String),
    /// A number that does not fit or is not one.
    #[error("`{text}` is not a number from 0 to {max}; decimal or 0x-hexadecimal is accepted")]
    Number {
        /// As written.
        text: String,
        /// The largest value that fits.
        max: u128,
    },
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl FromStr for MacAddr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError::Mac(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| matches!(part.len(), 1 | 2))
                .ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() {
            Err(error())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<MacAddr> for u128 {
    fn from(mac: MacAddr) -> Self {
        mac.0
            .iter()
            .fold(0, |value, byte| value << 8 | u128::from(*byte))
    }
}

/// A VLAN that packets can belong to: 1..=4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VlanId(u16);

impl VlanId {
    /// `None` outside 1..=4094.
    pub fn new(id: u16) -> Option<Self> {
        (1..=4094).contains(&id).then_some(Self(id))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl FromStr for VlanId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = parse_number(text, 12)
            .ok()
            .and_then(|id| u16::try_from(id).ok());
        number
            .and_then(Self::new)
            .ok_or_else(|| ValueError::Vlan(text.to_owned()))
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port of the switch, by its P4 number or by the name the agent knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortRef {
    /// The P4 port number, 1 or more.
    Number(u32),
    /// The agent's name for it.
    Name(String),
}

impl FromStr for PortRef {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError::Port(text.to_owned());
        if text.starts_with(|first: char| first.is_ascii_digit()) && parse_number(text, 32).is_ok()
        {
            let number = parse_number(text, 32)
                .ok()
                .and_then(|number| u32::try_from(number).ok());
            return number
                .filter(|number| *number > 0)
                .map(Self::Number)
                .ok_or_else(error);
        }
        let name_like = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '{' | '}' | '[' | ']');
        if text.is_empty() || text.starts_with('-') || !text.chars().all(name_like) {
            return Err(error());
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An IPv4 prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv4Prefix {
    address: Ipv4Addr,
    length: u8,
}

/// An IPv6 prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv6Prefix {
    address: Ipv6Addr,
    length: u8,
}

macro_rules! prefix {
    ($prefix:ident, $address:ident, $bits:ty, $max:literal, $error:path) => {
        impl $prefix {
            /// Refuses a length over the address's and host bits.
            pub fn new(address: $address, length: u8) -> Result<Self, ValueError> {
                if length > $max {
                    return Err(ValueError::PrefixLength {
                        text: length.to_string(),
                        max: $max,
                    });
                }
                let mask = <$bits>::MAX
                    .checked_shl($max - u32::from(length))
                    .unwrap_or(0);
                let network = $address::from_bits(address.to_bits() & mask);
                if network != address {
                    return Err(ValueError::HostBits {
                        found: format!("{address}/{length}"),
                        meant: format!("{network}/{length}"),
                    });
                }
                Ok(Self { address, length })
            }

            /// The network address.
            pub fn address(self) -> $address {
                self.address
            }

            /// The number of leading bits that count.
            pub fn length(self) -> u8 {
                self.length
            }
        }

        impl FromStr for $prefix {
            type Err = ValueError;

            /// An address without a slash is a host: all its bits count.
            fn from_str(text: &str) -> Result<Self, ValueError> {
                let (address, length) = text.split_once('/').unwrap_or((text, stringify!($max)));
                let address = address.parse().map_err(|_| $error(address.to_owned()))?;
                let length = length
                    .parse()
                    .ok()
                    .filter(|length| *length <= $max)
                    .ok_or_else(|| ValueError::PrefixLength {
                        text: length.to_owned(),
                        max: $max,
                    })?;
                Self::new(address, length)
            }
        }

        impl fmt::Display for $prefix {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.address, self.length)
            }
        }
    };
}

prefix!(Ipv4Prefix, Ipv4Addr, u32, 32, ValueError::Ipv4);
prefix!(Ipv6Prefix, Ipv6Addr, u128, 128, ValueError::Ipv6);

/// The largest value of `bits` bits.
pub(crate) fn max_of(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

/// A number in decimal or 0x-hexadecimal that fits into `bits` bits.
pub(crate) fn parse_number(text: &str, bits: u32) -> Result<u128, ValueError> {
    let error = || ValueError::Number {
        text: text.to_owned(),
        max: max_of(bits),
    };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = digits.map_or((text, 10), |digits| (digits, 16));
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(error());
    }
    u128::from_str_radix(digits, radix)
        .ok()
        .filter(|value| *value <= max_of(bits))
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_host_bits_is_refused_with_the_one_that_was_meant() {
        let error = "10.0.2.1/24".parse::<Ipv4Prefix>().expect_err("host bits");
        assert_eq!(
            error.to_string(),
            "the prefix 10.0.2.1/24 has host bits set; did you mean 10.0.2.0/24?"
        );
        assert!("2001:db8::1/64".parse::<Ipv6Prefix>().is_err());
    }

    #[test]
    fn prefixes_of_every_length_parse() {
        assert_eq!(
            "0.0.0.0/0".parse::<Ipv4Prefix>().expect("default").length(),
            0
        );
        assert_eq!("10.0.0.1".parse::<Ipv4Prefix>().expect("host").length(), 32);
        assert_eq!("::/0".parse::<Ipv6Prefix>().expect("default").length(), 0);
        assert!("10.0.0.0/33".parse::<Ipv4Prefix>().is_err());
        assert!("10.0.0.0/+8x".parse::<Ipv4Prefix>().is_err());
    }

    #[test]
    fn ports_are_numbers_or_names() {
        assert_eq!("49".parse(), Ok(PortRef::Number(49)));
        assert_eq!("swp1".parse(), Ok(PortRef::Name("swp1".to_owned())));
        assert!("0".parse::<PortRef>().is_err());
        assert!("a b".parse::<PortRef>().is_err());
        assert!("".parse::<PortRef>().is_err());
    }

    #[test]
    fn macs_need_six_bytes() {
        assert_eq!(
            "0:0:5e:0:53:1"
                .parse::<MacAddr>()
                .expect("short bytes")
                .to_string(),
            "00:00:5e:00:53:01"
        );
        for bad in [
            "00:00:00:00:00",
            "00:00:00:00:00:00:00",
            "0g:00:00:00:00:00",
            "000:0:0:0:0:0",
            "",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn vlans_end_at_4094() {
        assert!("4094".parse::<VlanId>().is_ok());
        assert!("4095".parse::<VlanId>().is_err());
        assert!("0".parse::<VlanId>().is_err());
    }
}
