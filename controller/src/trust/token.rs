//! Join tokens: all that a new node needs to get into a cluster, in one word.
//!
//! ```text
//! pm1/10.0.0.1:9701/<32 digits>/<32 digits>/<8 digits>
//!     where to ask  authority   secret       check
//! ```
//!
//! The digits are hexadecimal. The authority is a [`Fingerprint`]; the check is the start of the SHA-256 of
//! everything before its slash, so that a word that was cut or mistyped is told from one that is no longer good.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::authority::Fingerprint;
use crate::hex;
use crate::random::{self, NoRandom};

const VERSION: &str = "pm1";

/// What proves that somebody may join. Good for once.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn draw() -> Result<Self, NoRandom> {
        random::bytes().map(Self)
    }

    /// By which the cluster remembers it: whoever reads its state cannot join with that.
    pub fn digest(&self) -> String {
        hex::encode(&Sha256::digest(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a new node is given by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The peer address of a node of the cluster.
    pub address: String,
    /// The authority of the cluster.
    pub authority: Fingerprint,
    /// What proves that it may join.
    pub secret: Secret,
}

/// Why a word is no join token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It does not look like one.
    #[error(
        "this is no join token: {0}; give the word that `pointsman cluster add` printed, which begins with {VERSION}/"
    )]
    NotAToken(&'static str),
    /// Some of it is not as it was printed.
    #[error(
        "the join token is damaged: its check digits do not fit; copy all of the word that `pointsman cluster add` printed"
    )]
    Damaged,
}

fn check_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..4])
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{VERSION}/{}/{}/{}",
            self.address,
            hex::encode(&self.authority.0),
            hex::encode(&self.secret.0)
        );
        write!(f, "{text}/{}", check_of(&text))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let Some((VERSION, _)) = text.split_once('/') else {
            return Err(TokenError::NotAToken("it begins otherwise"));
        };
        let (body, check) = text.rsplit_once('/').expect("it was split at a slash");
        if check != check_of(body) {
            return Err(TokenError::Damaged);
        }
        let parts: Vec<&str> = body.split('/').collect();
        let [_, address, authority, secret] = parts[..] else {
            return Err(TokenError::NotAToken("it has not five parts"));
        };
        let authority = hex::decode(authority)
            .map(Fingerprint)
            .ok_or(TokenError::NotAToken("its authority is not 32 digits"))?;
        let secret = hex::decode(secret)
            .map(Secret)
            .ok_or(TokenError::NotAToken("its secret is not 32 digits"))?;
        Ok(Self {
            address: address.to_owned(),
            authority,
            secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            address: "10.0.0.1:9701".into(),
            authority: Fingerprint([0xa1; 16]),
            secret: Secret([0x5e; 16]),
        }
    }

    #[test]
    fn a_token_is_one_word_that_says_where_to_ask() {
        expect_test::expect!["pm1/10.0.0.1:9701/a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1/5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e/64d0fb5d"]
            .assert_eq(&token().to_string());
    }

    #[test]
    fn a_token_that_was_cut_is_damaged_and_another_word_is_none() {
        let text = token().to_string();
        let cut = text[..text.len() - 1].parse::<JoinToken>();
        assert_eq!(cut, Err(TokenError::Damaged));
        let other = "swordfish".parse::<JoinToken>().expect_err("refused");
        assert!(matches!(other, TokenError::NotAToken(_)));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(!format!("{:?}", token()).contains("94"));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            address in "[a-z0-9.:\\[\\]-]{1,40}",
            authority: [u8; 16],
            secret: [u8; 16],
        ) {
            let token = JoinToken {
                address,
                authority: Fingerprint(authority),
                secret: Secret(secret),
            };
            prop_assert_eq!(token.to_string().parse::<JoinToken>(), Ok(token));
        }

        #[test]
        fn no_word_makes_the_reader_panic(text in "\\PC*") {
            let _ = text.parse::<JoinToken>();
            let _ = format!("pm1/{text}").parse::<JoinToken>();
        }
    }
}
