//! What tests of programs in the kernel share.

use pointsman_ebpf::switch::Shared;

/// Whether this machine lets us load programs; `REQUIRE_NETNS` makes it an error if not.
pub fn privileged() -> bool {
    match Shared::new() {
        Ok(_) => true,
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}
