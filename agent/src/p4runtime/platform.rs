//! What a p4info demands of the platform (`pkg_info.platform_properties`), against what the target
//! promises. Called before a pipeline is verified, saved or realised.

use pointsman_proto::p4::config::v1::{P4Info, PlatformProperties};
use thiserror::Error;

use crate::target::MulticastLimits;

/// A demand that cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlatformError {
    /// More than there is.
    #[error(
        "platform property {property}: the program demands {demanded}, and this target has {available}; \
         compile it with at most that"
    )]
    TooMuch {
        /// The field of `PlatformProperties`.
        property: &'static str,
        /// What the p4info says.
        demanded: i32,
        /// What there is.
        available: u32,
    },
    /// No number of anything.
    #[error("platform property {property} is {demanded}; 0 demands nothing")]
    Negative {
        /// The field of `PlatformProperties`.
        property: &'static str,
        /// What the p4info says.
        demanded: i32,
    },
    /// The specification forbids it.
    #[error(
        "platform property multicast_group_table_max_replicas_per_entry ({per_entry}) is larger than \
         multicast_group_table_total_replicas ({total})"
    )]
    PerEntryExceedsTotal {
        /// Replicas of one group.
        per_entry: i32,
        /// Replicas of all groups.
        total: i32,
    },
}

/// Can a target with these limits run this pipeline? `None` are limits that are not known here.
pub fn check(info: &P4Info, limits: Option<MulticastLimits>) -> Result<(), PlatformError> {
    let package = info.pkg_info.as_ref();
    let Some(demanded) = package.and_then(|package| package.platform_properties.as_ref()) else {
        return Ok(());
    };
    let PlatformProperties {
        multicast_group_table_size: groups,
        multicast_group_table_total_replicas: total,
        multicast_group_table_max_replicas_per_entry: per_entry,
    } = *demanded;
    let properties = [
        ("multicast_group_table_size", groups),
        ("multicast_group_table_total_replicas", total),
        ("multicast_group_table_max_replicas_per_entry", per_entry),
    ];
    for (property, demanded) in properties {
        if demanded < 0 {
            return Err(PlatformError::Negative { property, demanded });
        }
    }
    if total != 0 && per_entry > total {
        return Err(PlatformError::PerEntryExceedsTotal { per_entry, total });
    }
    let Some(limits) = limits else { return Ok(()) };
    // Without a demand of its own, one group may have as many as all together.
    let one_group = if per_entry == 0 { total } else { per_entry };
    let available = [limits.groups, limits.replicas, limits.replicas_per_group];
    for ((property, _), (demanded, available)) in properties
        .into_iter()
        .zip([groups, total, one_group].into_iter().zip(available))
    {
        if demanded.unsigned_abs() > available {
            return Err(PlatformError::TooMuch {
                property,
                demanded,
                available,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pointsman_proto::p4::config::v1::PkgInfo;

    use super::*;

    fn demand(groups: i32, total: i32, per_entry: i32) -> Result<(), PlatformError> {
        let info = P4Info {
            pkg_info: Some(PkgInfo {
                platform_properties: Some(PlatformProperties {
                    multicast_group_table_size: groups,
                    multicast_group_table_total_replicas: total,
                    multicast_group_table_max_replicas_per_entry: per_entry,
                }),
                ..PkgInfo::default()
            }),
            ..P4Info::default()
        };
        let limits = MulticastLimits {
            groups: 10,
            replicas: 100,
            replicas_per_group: 20,
        };
        check(&info, Some(limits))
    }

    #[test]
    fn a_demand_that_the_target_meets_is_no_news() {
        assert_eq!(demand(0, 0, 0), Ok(()));
        assert_eq!(demand(10, 100, 20), Ok(()));
        assert_eq!(demand(10, 15, 0), Ok(()));
    }

    #[test]
    fn a_demand_that_is_too_high_or_makes_no_sense_is_refused_by_name() {
        for (demanded, property) in [
            ((11, 0, 0), "multicast_group_table_size"),
            ((0, 101, 1), "multicast_group_table_total_replicas"),
            ((0, 100, 21), "multicast_group_table_max_replicas_per_entry"),
            ((0, 50, 0), "multicast_group_table_max_replicas_per_entry"),
            ((0, -1, 0), "multicast_group_table_total_replicas"),
            ((0, 5, 6), "multicast_group_table_max_replicas_per_entry"),
        ] {
            let (groups, total, per_entry) = demanded;
            let error = demand(groups, total, per_entry).expect_err("too much");
            assert!(error.to_string().contains(property), "{error}");
        }
    }
}
