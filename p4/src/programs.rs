//! The P4 programs that come with Pointsman, compiled and embedded.
//!
//! What is embedded is what stock `p4c` made of `programs/NAME.p4`, so that neither building nor
//! running needs a P4 compiler; `programs/compile.sh` makes it again after a change. This module
//! hands the text out and does not read it. The agent offers these programs by name, and loads
//! them through the same path as any pipeline that a P4Runtime client sends.

/// One compiled program with its manifest, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedProgram {
    /// The name to ask for it by; also the `pkg_info` name of its p4info.
    pub name: &'static str,
    /// BMv2 JSON, the device configuration of `SetForwardingPipelineConfig`.
    pub bmv2_json: &'static str,
    /// `p4.config.v1.P4Info` in protobuf text format.
    pub p4info: &'static str,
    /// `pipeline.yaml`: how flow objectives become entries of this program's tables.
    pub manifest: &'static str,
}

macro_rules! program {
    ($name:literal) => {
        EmbeddedProgram {
            name: $name,
            bmv2_json: include_str!(concat!("../programs/", $name, "/bmv2.json")),
            p4info: include_str!(concat!("../programs/", $name, "/p4info.txtpb")),
            manifest: include_str!(concat!("../programs/", $name, "/pipeline.yaml")),
        }
    };
}

/// All programs, in alphabetical order.
pub const EMBEDDED: &[EmbeddedProgram] = &[program!("leaf_spine")];

/// All manifests by name, also for pipelines that others ship. A pipeline that is set without a
/// manifest gets the one that fits it.
pub const MANIFESTS: &[(&str, &str)] = &[
    (
        "fabric_tna",
        include_str!("../programs/fabric_tna/pipeline.yaml"),
    ),
    (
        "leaf_spine",
        include_str!("../programs/leaf_spine/pipeline.yaml"),
    ),
    (
        "onos_basic",
        include_str!("../programs/onos_basic/pipeline.yaml"),
    ),
    (
        "onos_fabric",
        include_str!("../programs/onos_fabric/pipeline.yaml"),
    ),
];

/// The program of that name, if there is one.
#[must_use]
pub fn embedded(name: &str) -> Option<&'static EmbeddedProgram> {
    EMBEDDED.iter().find(|program| program.name == name)
}
