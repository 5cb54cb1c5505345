//! Puts flags and environment over the file.

use super::file::{self, ConfigFile};
use super::{Args, Config, ConfigError};

/// What flags, environment, file and defaults come to.
pub fn load(args: &Args) -> Result<Config, ConfigError> {
    let file = match &args.config {
        Some(path) => file::read(path)?,
        None => ConfigFile::default(),
    };
    let ports = (!args.ports.is_empty()).then(|| args.ports.clone());
    Config::try_from(ConfigFile {
        name: args.name.clone().or(file.name),
        device_id: args.device_id.or(file.device_id),
        listen: args.listen.clone().or(file.listen),
        state_dir: args.state_dir.clone().or(file.state_dir),
        target: args.target.or(file.target),
        pipeline: args.pipeline.clone().or(file.pipeline),
        ports: ports.or(file.ports),
        cpu_port: args.cpu_port.or(file.cpu_port),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(file, "name: leaf1\ndevice_id: 5\nports: [eth1]").expect("it can be written");
        let path = file.path().to_str().expect("the path is text");
        let args = ["pointsman-agent", "--config", path, "--device-id", "6"];
        let config = load(&Args::parse_from(args)).expect("it is valid");
        assert_eq!((config.device_id, config.name.as_str()), (6, "leaf1"));
        assert_eq!(config.ports.len(), 1);
        assert_eq!(config.cpu_port, 255);
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let error = file::parse("name: leaf1\ndevice: 5\n").expect_err("there is no such field");
        assert!(error.contains("device") && error.contains('2'), "{error}");
    }
}
