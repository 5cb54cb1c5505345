//! What the agent needs of the machine: the kernel, privileges, directories, its address.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::switch::pins::{PinDirectory, PinError};
use pointsman_ebpf::sys::{frame_flags, has_may_goto};

use super::Finding;
use crate::config::{Config, DEFAULT_PIN_DIR, Pins};
use crate::journal::{JournalError, StateDirectory};
use crate::start;
use crate::switch::Pipeline;

/// Frames with fragments, see ARCHITECTURE.md.
const OLDEST_KERNEL: (u32, u32) = (5, 18);
const MEBIBYTE: u64 = 1 << 20;

/// The version of the kernel.
pub(super) fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    match version(release) {
        Some(found) if found < OLDEST_KERNEL => Finding::failure(
            "kernel",
            release,
            format!(
                "Linux {}.{} or later is needed",
                OLDEST_KERNEL.0, OLDEST_KERNEL.1
            ),
        ),
        Some(_) => Finding::fine("kernel", release),
        None => Finding::warning("kernel", format!("{release:?} is no version"), ""),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether maps and programs can be made.
pub(super) fn may_load() -> Finding {
    match Shared::new() {
        Ok(_) => Finding::fine("privileges", "BPF maps can be made"),
        Err(error) => Finding::failure(
            "privileges",
            error.to_string(),
            "run as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW",
        ),
    }
}

/// What newer kernels do better.
pub(super) fn features() -> Vec<Finding> {
    let mut findings = Vec::new();
    if !has_may_goto() {
        findings.push(Finding::warning(
            "loops",
            "the verifier does not know may_goto",
            "Linux 6.9 or later verifies parser loops, large ternary tables and selectors in less time, and runs more of \
             them in the kernel",
        ));
    }
    if frame_flags().is_none() {
        findings.push(Finding::warning(
            "frame lengths",
            "flags of frames cannot be read",
            "Linux 6.2 or later with BTF (CONFIG_DEBUG_INFO_BTF) makes each packet cheaper",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::fine("features", "may_goto, flags of frames"));
    }
    findings
}

/// Whether programs are compiled to machine code.
pub(super) fn jit() -> Finding {
    let path = "/proc/sys/net/core/bpf_jit_enable";
    match std::fs::read_to_string(path).as_deref().map(str::trim) {
        Ok("0") => Finding::warning(
            "JIT",
            "programs are interpreted",
            "sysctl net.core.bpf_jit_enable=1 makes packets several times cheaper",
        ),
        // Without the switch it is always on.
        _ => Finding::fine("JIT", "programs are compiled"),
    }
}

/// Whether the kernel takes the configured pipeline, and how much memory there is for it.
pub(super) fn pipeline(config: &Config) -> Vec<Finding> {
    let source = match start::pipeline(&config.pipeline) {
        Ok(Some(source)) => source,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::failure("pipeline", error.to_string(), "")],
    };
    let pipeline = match Pipeline::read(source) {
        Ok(pipeline) => pipeline,
        Err(error) => return vec![Finding::failure("pipeline", error.to_string(), "")],
    };
    let switch = match Switch::new(Options::new(config.cpu_port)) {
        Ok(switch) => switch,
        // Why is said by another finding.
        Err(_) => return Vec::new(),
    };
    let plane = match switch.prepare(Arc::clone(&pipeline.program)) {
        Ok(plane) => plane,
        Err(error) => return vec![Finding::failure("pipeline", error.to_string(), "")],
    };
    let stats = plane.fast().stats();
    let slow = plane.fast().slow_constructs().len();
    let mut findings = vec![Finding::fine(
        "pipeline",
        format!(
            "{}: {} instructions, loaded in {} ms; {slow} constructs take the slow path",
            pipeline.schema.name,
            stats.instructions,
            (stats.compile + stats.load).as_millis()
        ),
    )];
    findings.push(memory(u64::from(stats.table_bytes)));
    findings
}

/// While the next agent takes over, and once there was a batch, tables are there twice.
fn memory(table_bytes: u64) -> Finding {
    let needed = 2 * table_bytes / MEBIBYTE;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| {
        let rest = line.strip_prefix("MemAvailable:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    let available = available.map_or(0, |kibibytes| kibibytes / 1024);
    let found =
        format!("{available} MiB available, {needed} MiB for tables that are full and there twice");
    match available < needed {
        true => Finding::warning(
            "memory",
            found,
            "tables take memory as they fill; give them smaller `size` properties, or the machine more",
        ),
        false => Finding::fine("memory", found),
    }
}

/// Whether what forwards can outlive the agent.
pub(super) fn pins(config: &Config) -> Finding {
    let base = match &config.pins {
        Pins::None => {
            return Finding::warning(
                "pins",
                "nothing is pinned: forwarding ends with the agent",
                "leave out --pins none",
            );
        }
        Pins::Auto => Path::new(DEFAULT_PIN_DIR),
        Pins::Directory(path) => path,
    };
    match PinDirectory::open(base, config.device_id) {
        Ok(pins) => {
            // If it was made by this look, it is empty, and goes.
            let _ = std::fs::remove_dir(pins.path());
            Finding::fine("pins", format!("{} is free", pins.path().display()))
        }
        Err(error @ PinError::InUse { .. }) => Finding::warning("pins", error.to_string(), ""),
        Err(error @ PinError::NotBpf { .. }) if config.pins == Pins::Auto => {
            Finding::warning("pins", "forwarding ends with the agent", error.to_string())
        }
        Err(error) => Finding::failure("pins", error.to_string(), ""),
    }
}

/// Whether the state that is saved can be read.
pub(super) fn state_directory(config: &Config) -> Finding {
    let path = &config.state_dir;
    if !path.exists() {
        return Finding::fine(
            "state directory",
            format!("{} will be made", path.display()),
        );
    }
    let read = StateDirectory::open(path, config.device_id).and_then(|state| state.read());
    match read {
        Ok(records) => Finding::fine(
            "state directory",
            format!("{}: {} records", path.display(), records.len()),
        ),
        Err(error @ JournalError::Locked { .. }) => {
            Finding::warning("state directory", error.to_string(), "")
        }
        Err(error) => Finding::failure("state directory", error.to_string(), ""),
    }
}

/// Whether the address is free.
pub(super) fn listen(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::fine("address", format!("{} is free", config.listen)),
        Err(error) => Finding::failure(
            "address",
            format!("cannot listen on {}: {error}", config.listen),
            "another agent may be running; choose another --listen",
        ),
    }
}

/// Whether there are enough descriptors for connections.
pub(super) fn open_files(config: &Config) -> Option<Finding> {
    /// For maps, programs, links, packet sockets and files.
    const OTHERS: u64 = 256;
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let needed = config.serving.limits.connections as u64 + 2 * config.ports.len() as u64 + OTHERS;
    Some(match limit < needed {
        true => Finding::warning(
            "open files",
            format!("at most {limit}, and {needed} may be needed"),
            format!(
                "raise the limit (ulimit -n {needed}, LimitNOFILE={needed}), or lower limits.connections"
            ),
        ),
        false => Finding::fine("open files", format!("at most {limit}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kernels_are_compared_by_number() {
        assert_eq!(version("6.18.44-generic"), Some((6, 18)));
        assert_eq!(version("5.9-rc1"), Some((5, 9)));
        assert!(version("5.9.0") < Some(OLDEST_KERNEL));
        assert_eq!(version("unknown"), None);
    }
}
