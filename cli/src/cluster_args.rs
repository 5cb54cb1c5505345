//! The words of `pointsman cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::complete;

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the nodes: who leads, who is there, what each is master of
    Status,
    /// Print a token with which one new node may join
    #[command(
        after_help = "On the new node:\n  pointsman-controller join TOKEN --data-dir DIR --listen ADDR --peer-listen ADDR\n  \
                      pointsman-controller --data-dir DIR --listen ADDR --peer-listen ADDR"
    )]
    Add {
        /// Minutes for which the token is good
        #[arg(long, default_value_t = 60, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=10_080))]
        valid: u32,
    },
    /// Take a node out of the cluster for good, be it running or lost
    Remove {
        #[command(flatten)]
        node: NodeArg,
    },
    /// Make another node lead
    Transfer {
        /// Which one [default: whichever has most of the log]
        #[arg(value_name = "NODE", add = ArgValueCompleter::new(complete::nodes))]
        node: Option<String>,
    },
    /// Write all that is replicated to a file, for `pointsman-controller restore`
    Snapshot {
        /// The file; it must not be there yet
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Give the devices of a node to the others, and keep new ones from it
    Drain {
        #[command(flatten)]
        node: NodeArg,
    },
    /// Let a node be master again that was drained
    Resume {
        #[command(flatten)]
        node: NodeArg,
    },
    /// Spread the devices evenly over the nodes, now
    Balance,
    /// Make a node the master of a device
    SetMaster {
        /// The device
        #[arg(add = ArgValueCompleter::new(complete::devices))]
        device: String,
        #[command(flatten)]
        node: NodeArg,
    },
}

/// A node.
#[derive(Debug, Args)]
pub struct NodeArg {
    /// Its name or its id
    #[arg(value_name = "NODE", add = ArgValueCompleter::new(complete::nodes))]
    pub node: String,
}
