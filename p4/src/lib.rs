//! BMv2 JSON and p4info as a typed IR, the reference interpreter, and the P4Runtime value codec.
