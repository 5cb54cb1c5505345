//! The words of `pointsman kv` and `pointsman config`.

use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum KvCommand {
    /// Print the value of a key, as it is
    Get {
        #[command(flatten)]
        key: KeyArgs,
        /// Take what the controller that is asked knows, also if it may have missed the latest changes
        #[arg(long)]
        stale: bool,
    },
    /// Set a key
    Put {
        #[command(flatten)]
        key: KeyArgs,
        /// The value; without it, standard input is
        value: Option<String>,
        /// Only if the key is at this revision; 0: only if there is no such key
        #[arg(long, value_name = "REVISION")]
        expected: Option<u64>,
        /// The key ends with this lease
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        lease: u64,
    },
    /// Delete a key
    Delete {
        #[command(flatten)]
        key: KeyArgs,
        /// Only if the key is at this revision
        #[arg(long, value_name = "REVISION")]
        expected: Option<u64>,
        /// Delete all keys that begin with KEY
        #[arg(long, conflicts_with = "expected")]
        prefix: bool,
    },
    /// Show keys and their values
    List {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Take what the controller that is asked knows, also if it may have missed the latest changes
        #[arg(long)]
        stale: bool,
    },
    /// Show what changes, until it is interrupted
    Watch {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Begin with what changed after this revision
        #[arg(long, value_name = "REVISION")]
        after: Option<u64>,
    },
    /// Run a command while holding a lock
    #[command(
        after_help = "The command sees the fencing token as POINTSMAN_LOCK_TOKEN and the lease as POINTSMAN_LOCK_LEASE. \
                      It is killed if the lock is lost. Its exit code is that of this command."
    )]
    Lock(LockArgs),
}

/// A key in its namespace.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The namespace, for example the name of an application
    pub namespace: String,
    /// The key, for example tenants/blue
    pub key: String,
}

/// Some keys, or all.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Only of this namespace
    #[arg(default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Only keys that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    pub prefix: String,
}

#[derive(Debug, Args)]
pub struct LockArgs {
    /// The namespace, for example the name of an application
    pub namespace: String,
    /// The lock
    pub name: String,
    /// How long the lock stays held if this machine dies, in seconds
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub ttl: Duration,
    /// How long to wait for it, in seconds; without it, for as long as it takes
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
    /// What to run
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show all settings of the cluster
    List {
        /// Only those that begin with this, for example kv
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Show one setting, with what it means and accepts
    Get {
        /// COMPONENT.NAME
        name: String,
    },
    /// Change a setting on all nodes
    Set {
        /// COMPONENT.NAME
        name: String,
        /// The new value
        value: String,
    },
    /// Set it back to its default
    Reset {
        /// COMPONENT.NAME
        name: String,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give seconds, for example 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
