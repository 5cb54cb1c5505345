//! The switch daemon: P4Runtime server, objectives, ports and packet I/O.
