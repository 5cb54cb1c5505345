//! What few entries of a table have beside key and action.
//!
//! Tables have millions of entries that have nothing of it, so it is kept apart, and takes one word where there
//! is none.

use std::ops::Deref;

use crate::dataplane::{ColorCounts, CounterData, MeterConfig};

/// What few entries have.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraFields {
    /// The direct meter; `None` is always green.
    pub meter: Option<MeterConfig>,
    /// What the direct counter is set to; `None` leaves it alone.
    pub counter: Option<CounterData>,
    /// What the direct meter's colours are set to; `None` leaves them alone.
    pub meter_counts: Option<ColorCounts>,
    /// After how long without a hit the entry is reported as idle; 0 is never.
    pub idle_timeout_ns: u64,
    /// Echoed on Read (`metadata`).
    pub metadata: Vec<u8>,
    /// Echoed on Read (`controller_metadata`).
    pub controller_metadata: u64,
}

static NOTHING: ExtraFields = ExtraFields {
    meter: None,
    counter: None,
    meter_counts: None,
    idle_timeout_ns: 0,
    metadata: Vec::new(),
    controller_metadata: 0,
};

/// The same, or nothing. It is read like the fields.
#[derive(Debug, Clone, Default)]
pub struct Extra(Option<Box<ExtraFields>>);

impl Extra {
    /// What stays of them once they are written: counts are the data plane's from then on.
    pub fn without_counts(&self) -> Extra {
        match &self.0 {
            None => Extra(None),
            Some(fields) => Extra::from(ExtraFields {
                counter: None,
                meter_counts: None,
                ..(**fields).clone()
            }),
        }
    }

    /// Whether there is nothing of them.
    pub fn is_nothing(&self) -> bool {
        self.0.is_none() || **self == NOTHING
    }

    /// The fields, to be changed.
    pub fn make(&mut self) -> &mut ExtraFields {
        self.0.get_or_insert_with(|| Box::new(NOTHING.clone()))
    }
}

impl Deref for Extra {
    type Target = ExtraFields;

    fn deref(&self) -> &ExtraFields {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl From<ExtraFields> for Extra {
    fn from(fields: ExtraFields) -> Extra {
        Extra((fields != NOTHING).then(|| Box::new(fields)))
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Extra) -> bool {
        **self == **other
    }
}
