//! The YAML model: flow objectives and devices, validated, with a JSON schema.
