//! Puts flags and environment over the file.

use super::file::{self, ConfigFile};
use super::{Args, Config, ConfigError, discovery, serving, upstream};

/// What flags, environment, file and defaults come to.
pub fn load(args: &Args) -> Result<Config, ConfigError> {
    let mut file = match &args.config {
        Some(path) => file::read(path)?,
        None => ConfigFile::default(),
    };
    serving::overlay(args, &mut file);
    upstream::overlay(args, &mut file);
    discovery::overlay(args, &mut file);
    let ports = (!args.ports.is_empty()).then(|| args.ports.clone());
    Config::try_from(ConfigFile {
        name: args.name.clone().or(file.name),
        device_id: args.device_id.or(file.device_id),
        listen: args.listen.clone().or(file.listen),
        authorization: args.authorization.clone().or(file.authorization),
        state_dir: args.state_dir.clone().or(file.state_dir),
        target: args.target.or(file.target),
        pins: args.pins.clone().or(file.pins),
        pipeline: args.pipeline.clone().or(file.pipeline),
        ports: ports.or(file.ports),
        cpu_port: args.cpu_port.or(file.cpu_port),
        byte_strings: args.byte_strings.or(file.byte_strings),
        drift: args.drift.or(file.drift),
        ..file
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::super::Transport;
    use super::*;

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(
            file,
            "name: leaf1\ndevice_id: 5\ninsecure: true\nports: [eth1]"
        )
        .expect("it can be written");
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

    fn with(file: &str, flags: &[&str]) -> Result<Config, ConfigError> {
        let mut written = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(written, "{file}").expect("it can be written");
        let path = written.path().to_str().expect("the path is text");
        let args = ["pointsman-agent", "--config", path];
        load(&Args::parse_from(args.iter().chain(flags)))
    }

    #[test]
    fn without_tls_and_without_leave_nothing_is_served() {
        let error = with("name: leaf1", &[]).expect_err("neither is said");
        let error = error.to_string();
        assert!(
            error.contains("--tls-cert") && error.contains("--insecure"),
            "{error}"
        );
        let error = with("name: leaf1", &["--tls-cert", "agent.pem"]).expect_err("half of it");
        assert!(error.to_string().contains("key"), "{error}");
        assert!(with("insecure: true\ntls: { cert: a, key: b }", &[]).is_err());
    }

    #[test]
    fn flags_about_tls_go_before_the_file_in_both_directions() {
        let config = with("tls: { cert: a.pem, key: a.key }", &["--tls-key", "b.key"]);
        let tls = |config: Config| match config.serving.transport {
            Transport::Tls(files) => Some(files),
            Transport::Insecure => None,
        };
        let files = tls(config.expect("it is valid")).expect("it is TLS");
        assert_eq!((files.cert, files.key), ("a.pem".into(), "b.key".into()));
        let config = with("tls: { cert: a.pem, key: a.key }", &["--insecure"]);
        assert_eq!(tls(config.expect("it is valid")), None);
        let flags = ["--tls-cert", "a.pem", "--tls-key", "a.key"];
        let config = with("insecure: true", &flags).expect("it is valid");
        assert!(tls(config).is_some());
        assert!(with("", &[&flags[..], &["--insecure"]].concat()).is_err());
    }
}
