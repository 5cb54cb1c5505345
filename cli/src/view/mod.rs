//! Answers of servers as what is shown: structs for JSON and YAML, tables for people.

pub mod apply;
pub mod cluster;
pub mod devices;
pub mod differences;
pub mod drift;
pub mod fabric;
pub mod history;
pub mod hosts;
pub mod kv;
pub mod links;
pub mod news;
pub mod nodes;
pub mod objectives;
pub mod paths;
pub mod pipeline;
pub mod ports;
pub mod settings;
pub mod tables;
pub mod trace;
