//! The switch daemon: P4Runtime server, objectives, ports and packet I/O.

pub mod agent;
pub mod aging;
pub mod arbitration;
pub mod audit;
pub mod authorization;
pub mod config;
pub mod digests;
pub mod discovery;
pub mod doctor;
pub mod hosts;
pub mod inventory;
pub mod journal;
pub mod limits;
pub mod lldp;
pub mod notify;
pub mod objectives;
pub mod p4runtime;
pub mod ports;
pub mod reactive;
pub mod reload;
pub mod server;
pub mod service;
pub mod start;
pub mod switch;
pub mod target;
pub mod tls;

pub use pointsman_p4::{entity, schema};
pub use pointsman_pipeliner as pipeliner;
