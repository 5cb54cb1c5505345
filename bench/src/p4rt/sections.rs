//! The sections of the P4Runtime specification, version 1.5, by number and title.
//!
//! Two documents beside it are cited in the same way: p4-constraints, and SONiC's use of `@refers_to`.

/// A section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Section {
    /// As the table of contents has it.
    pub number: &'static str,
    /// Its heading.
    pub title: &'static str,
}

macro_rules! sections {
    ($($name:ident $number:literal $title:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Section = Section { number: $number, title: $title };
        )*
    };
}

sections! {
    REPLICATION "5" "Client Arbitration and Controller Replication";
    DEFAULT_ROLE "5.1" "Default Role and Default Device ID";
    ROLE_CONFIG "5.2" "Role Config";
    ARBITRATION_RULES "5.3" "Rules for Handling MasterArbitrationUpdate Messages";
    ARBITRATION_NOTIFICATIONS "5.4" "Client Arbitration Notifications";
    PKG_INFO "6.2" "PkgInfo Message";
    ID_ALLOCATION "6.3" "ID Allocation for P4Info Objects";
    PIPELINE_CONFIG "7" "P4 Forwarding-Pipeline Configuration";
    DEFAULT_VALUES "8.1" "Default-valued Fields";
    SYMMETRY "8.2" "Read-Write Symmetry";
    BYTESTRINGS "8.3" "Bytestrings";
    P4_DATA "8.4" "Representation of Arbitrary P4 Types";
    USER_TYPES "8.4.6" "User-defined types";
    TABLE_ENTRY "9.1" "TableEntry";
    MATCH_FORMAT "9.1.1" "Match Format";
    ACTION_SPECIFICATION "9.1.2" "Action Specification";
    DEFAULT_ENTRY "9.1.3" "Default Entry";
    CONSTANT_TABLES "9.1.4" "Constant Tables";
    PREINITIALIZED_TABLES "9.1.5" "Preinitialized tables";
    TABLE_WILDCARDS "9.1.6" "Wildcard Reads";
    DIRECT_RESOURCES "9.1.7" "Direct Resources";
    IDLE_TIMEOUT "9.1.8" "Idle-timeout";
    MEMBERS "9.2.1" "Member Programming";
    GROUPS "9.2.2" "Group Programming";
    ONE_SHOT "9.2.3" "One Shot Action Selector Programming";
    SELECTOR_CONSTRAINTS "9.2.4" "Constraints on action selector programming";
    DIRECT_COUNTER "9.3.1" "DirectCounterEntry";
    COUNTER "9.3.2" "CounterEntry";
    METERS "9.4" "MeterEntry & DirectMeterEntry";
    DIRECT_METER "9.4.1" "DirectMeterEntry";
    METER "9.4.2" "MeterEntry";
    METER_COUNTERS "9.4.3" "MeterCounterData";
    MULTICAST "9.5.1" "MulticastGroupEntry";
    CLONE_SESSION "9.5.2" "CloneSessionEntry";
    VALUE_SET "9.6" "ValueSetEntry";
    REGISTER "9.7" "RegisterEntry";
    DIGEST "9.8" "DigestEntry";
    EXTERN "9.9" "ExternEntry";
    ERRORS "10" "Error Reporting Messages";
    INDIVIDUAL_ATOMICITY "11" "Atomicity of Individual Write and Read Operations";
    WRITE "12" "Write RPC";
    BATCHING "12.1" "Batching and Ordering of Updates";
    BATCH_ATOMICITY "12.2" "Batch Atomicity";
    WRITE_ERRORS "12.3" "Error Reporting";
    READ "13" "Read RPC";
    READ_WILDCARDS "13.2" "Wildcard Reads";
    READ_BATCHES "13.3" "Batch Processing";
    PARALLELISM "13.4" "Parallelism of Read and Write Requests";
    SET_PIPELINE "14" "SetForwardingPipelineConfig RPC";
    GET_PIPELINE "15" "GetForwardingPipelineConfig RPC";
    PACKET_IO "16.1" "Packet I/O";
    ARBITRATION_UPDATE "16.2" "Client Arbitration Update";
    UNSET_ELECTION_ID "16.2.1" "Unset Election ID";
    IDLE_NOTIFICATION "16.4" "Table Idle Timeout Notification";
    STREAM_ERRORS "16.6" "Stream Error Reporting";
    CAPABILITIES "17" "Capabilities RPC";
    TRANSLATION "18.1" "PSA Metadata Translation";
    PORT_TRANSLATION "18.1.1" "Translation of Port Numbers";
    PACKET_TRANSLATION "18.1.2" "Translation of Packet-IO Header Fields";
    MATCH_TRANSLATION "18.1.3" "Translation of Match Fields";
    PARAMETER_TRANSLATION "18.1.4" "Translation of Action Parameters";
    INDEX_TRANSLATION "18.1.6" "Using Port as an Index";
    VERSIONING "19" "P4Runtime Versioning";
    GUIDELINES "A.4" "Guidelines for Implementations";
    CONSTRAINTS "p4-constraints" "Entry and action restrictions";
    REFERENCES "@refers_to" "References between tables";
}
