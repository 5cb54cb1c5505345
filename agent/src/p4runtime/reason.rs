//! The vendor error space of `p4.Error`: a number for every reason that an update or a filter is
//! refused for, finer than the canonical codes.
//!
//! Numbers and names never change their meaning and are never used again, so that clients can rely on
//! them. `docs/errors.md` lists them, and a test holds it to this file.

use pointsman_p4::dataplane::DataPlaneError;

use super::decode::DecodeError;
use super::read::ReadError;
use crate::switch::UpdateError;

/// `p4.Error.space`.
pub const SPACE: &str = "pointsman";

macro_rules! reasons {
    ($($number:literal $reason:ident $name:literal $meaning:literal,)*) => {
        /// Why an update or a filter is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "`meaning` says it")]
        #[repr(i32)]
        pub enum Reason {
            $($reason = $number,)*
        }

        impl Reason {
            /// All of them, by number.
            pub const ALL: &'static [Reason] = &[$(Reason::$reason,)*];

            /// `p4.Error.code`.
            pub fn code(self) -> i32 {
                self as i32
            }

            /// As it is written in documents.
            pub fn name(self) -> &'static str {
                match self {
                    $(Reason::$reason => $name,)*
                }
            }

            /// What it means, and what to do.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Reason::$reason => $meaning,)*
                }
            }
        }
    };
}

reasons! {
    1 Missing "MISSING" "a part of the message that must be there is not",
    2 UnknownId "UNKNOWN_ID" "p4info has no object of this id; the message lists those that it has",
    3 GivenTwice "GIVEN_TWICE" "something stands twice where it may stand once",
    4 Invalid "INVALID" "a value that the specification does not allow here",
    5 MatchKind "MATCH_KIND" "a field is matched in another way than the table matches it",
    6 EmptyValue "EMPTY_VALUE" "a value has no bytes; a zero is one zero byte",
    7 ValueTooLarge "VALUE_TOO_LARGE" "a value has more bits than its type",
    8 IndexTooLarge "INDEX_TOO_LARGE" "an index is beyond the end of the array",
    9 Untranslatable "UNTRANSLATABLE" "a value of a translated type stands for nothing in the program",
    10 Restricted "RESTRICTED" "the program's restriction forbids the entry; the message quotes it",
    11 ActionScope "ACTION_SCOPE" "the action may not stand in this place",
    12 Const "CONST" "the program declares it const",
    13 Unsupported "UNSUPPORTED" "a part of P4Runtime that this switch lacks",
    14 TooMany "TOO_MANY" "more of something than p4info has room for",
    15 SameMember "SAME_MEMBER" "a value set has the member already",
    20 AlreadyExists "ALREADY_EXISTS" "it is there; use MODIFY to change it",
    21 NotFound "NOT_FOUND" "it, or what it refers to, is not there",
    22 InUse "IN_USE" "others refer to it; remove those first",
    23 Owned "OWNED" "it belongs to an objective; change that instead",
    24 MixedSelector "MIXED_SELECTOR" "action sets, and members and groups, exclude each other in a profile",
    25 OnlyModify "ONLY_MODIFY" "it can be neither inserted nor deleted",
    26 RefersToNothing "REFERS_TO_NOTHING" "@refers_to: what a value refers to is not there",
    27 Fixed "FIXED" "a part that keeps the value that it was inserted with",
    30 Full "FULL" "the data plane has no room for it",
    31 DataPlaneLacks "DATA_PLANE_LACKS" "the data plane cannot do it",
    32 DataPlaneFailed "DATA_PLANE_FAILED" "the data plane failed; the agent's log says more",
    33 NotAllowed "NOT_ALLOWED" "the role's configuration or the policy keeps the client from it",
    34 SwitchRefuses "SWITCH_REFUSES" "the switch behind this one refuses, or is away; the message has its words",
    40 RolledBack "ROLLED_BACK" "another update of its batch failed, and nothing of the batch stays",
}

impl From<&DecodeError> for Reason {
    fn from(error: &DecodeError) -> Reason {
        match error {
            DecodeError::Missing { .. } => Reason::Missing,
            DecodeError::UnknownId { .. } => Reason::UnknownId,
            DecodeError::Duplicate { .. } => Reason::GivenTwice,
            DecodeError::Invalid { .. } => Reason::Invalid,
            DecodeError::MatchKind { .. } => Reason::MatchKind,
            DecodeError::EmptyValue { .. } => Reason::EmptyValue,
            DecodeError::ValueTooLarge { .. } => Reason::ValueTooLarge,
            DecodeError::IndexTooLarge { .. } => Reason::IndexTooLarge,
            DecodeError::Translation { .. } => Reason::Untranslatable,
            DecodeError::Restricted(_) => Reason::Restricted,
            DecodeError::ActionNotAllowed { .. } => Reason::ActionScope,
            DecodeError::NotPermitted { .. } => Reason::Const,
            DecodeError::Unsupported { .. } => Reason::Unsupported,
            DecodeError::TooMany { .. } => Reason::TooMany,
            DecodeError::AlreadyThere { .. } => Reason::SameMember,
        }
    }
}

impl From<&UpdateError> for Reason {
    fn from(error: &UpdateError) -> Reason {
        match error {
            UpdateError::AlreadyExists { .. } => Reason::AlreadyExists,
            UpdateError::NotFound { .. } => Reason::NotFound,
            UpdateError::InUse { .. } => Reason::InUse,
            UpdateError::Const { .. } => Reason::Const,
            UpdateError::Owned { .. } => Reason::Owned,
            UpdateError::MixedSelector { .. } => Reason::MixedSelector,
            UpdateError::OnlyModify { .. } => Reason::OnlyModify,
            UpdateError::RefersToNothing { .. } => Reason::RefersToNothing,
            UpdateError::Fixed { .. } => Reason::Fixed,
            UpdateError::ProfileFull { .. } => Reason::Full,
            UpdateError::DataPlane { error, .. } => Reason::from(error),
            UpdateError::Upstream { .. } => Reason::SwitchRefuses,
            UpdateError::RolledBack { .. } => Reason::RolledBack,
        }
    }
}

impl From<&DataPlaneError> for Reason {
    fn from(error: &DataPlaneError) -> Reason {
        match error {
            DataPlaneError::AlreadyExists => Reason::AlreadyExists,
            DataPlaneError::NotFound
            | DataPlaneError::NoSuchMember { .. }
            | DataPlaneError::NoSuchGroup { .. } => Reason::NotFound,
            DataPlaneError::InUse { .. } => Reason::InUse,
            DataPlaneError::Full { .. } | DataPlaneError::NoMemory { .. } => Reason::Full,
            DataPlaneError::OutOfRange { .. } => Reason::IndexTooLarge,
            DataPlaneError::Unsupported { .. } => Reason::DataPlaneLacks,
            DataPlaneError::Kernel { .. } => Reason::DataPlaneFailed,
        }
    }
}

impl From<&ReadError> for Reason {
    fn from(error: &ReadError) -> Reason {
        match error {
            ReadError::Filter(error) => Reason::from(error),
            ReadError::Scope(_) => Reason::NotAllowed,
            ReadError::NoEntry { .. } => Reason::NotFound,
            ReadError::DataPlane(error) => Reason::from(error),
            ReadError::Relay(_) => Reason::SwitchRefuses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/errors.md`.
    fn table() -> String {
        let mut text = String::from("| code | name | meaning |\n|---|---|---|\n");
        for reason in Reason::ALL {
            let (code, name, meaning) = (reason.code(), reason.name(), reason.meaning());
            text += &format!("| {code} | `{name}` | {meaning} |\n");
        }
        text
    }

    #[test]
    fn the_document_lists_every_reason_with_its_number() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let document = std::fs::read_to_string(path).expect("docs/errors.md is there");
        let table = table();
        assert!(document.contains(&table), "docs/errors.md lacks:\n{table}");
    }

    #[test]
    fn numbers_ascend_so_that_none_stands_twice() {
        assert!(
            Reason::ALL
                .windows(2)
                .all(|pair| pair[0].code() < pair[1].code())
        );
    }
}
