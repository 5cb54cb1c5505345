//! What a driver says of its interface, and the offloads that XDP programs do not get along with: the `ethtool`
//! requests of `SIOCETHTOOL` (`linux/ethtool.h`) for these few. Interfaces are named, and those of our network namespace.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_SFLAGS: u32 = 0x26;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;

/// `speed` of an interface that has none, or none now (`SPEED_UNKNOWN`).
const SPEED_UNKNOWN: u32 = u32::MAX;
/// Words of each of the three masks behind [`LinkSettings`]; the kernel says how many it uses.
const MASK_WORDS: usize = 3 * i8::MAX as usize;

/// Something that a driver does to frames before an XDP program sees them, or in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// The outer VLAN tag is taken out of the frame, where programs do not find it.
    RxVlan,
    /// Frames are merged, and leave by another port as frames that nobody sent.
    Lro,
}

impl Offload {
    /// As `ethtool -K` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Offload::RxVlan => "rxvlan",
            Offload::Lro => "lro",
        }
    }

    /// `enum ethtool_flags`.
    fn flag(self) -> u32 {
        match self {
            Offload::RxVlan => 1 << 8,
            Offload::Lro => 1 << 15,
        }
    }
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

/// `struct ethtool_link_settings` with room for the masks that follow it.
#[repr(C)]
struct LinkSettings {
    cmd: u32,
    speed: u32,
    duplex: u8,
    port: u8,
    phy_address: u8,
    autoneg: u8,
    mdio_support: u8,
    eth_tp_mdix: u8,
    eth_tp_mdix_ctrl: u8,
    link_mode_masks_nwords: i8,
    transceiver: u8,
    rest: [u8; 31],
    masks: [u32; MASK_WORDS],
}

/// Asks about one interface.
#[derive(Debug)]
pub struct Driver {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Driver {
    /// Of an interface. It is not looked for before it is asked something.
    pub fn of(interface: &str) -> io::Result<Driver> {
        let mut name = [0; libc::IFNAMSIZ];
        if interface.len() >= name.len() || interface.contains('\0') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (at, byte) in name.iter_mut().zip(interface.bytes()) {
            *at = byte as libc::c_char;
        }
        // SAFETY: no pointers are involved.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Driver { socket, name })
    }

    /// The name of the driver.
    pub fn name(&self) -> io::Result<String> {
        let mut info = DriverInfo {
            cmd: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            rest: [0; 160],
        };
        self.ask(&mut info)?;
        let text = info.driver.split(|byte| *byte == 0).next();
        Ok(String::from_utf8_lossy(text.unwrap_or_default()).into_owned())
    }

    /// Megabits a second; `None` while there is no link, and of interfaces that have no speed.
    pub fn speed(&self) -> io::Result<Option<u32>> {
        let mut settings = LinkSettings::request(0);
        // The first answer is only how long the masks are, as a negative number.
        self.ask(&mut settings)?;
        let mut settings = LinkSettings::request(settings.link_mode_masks_nwords.saturating_neg());
        self.ask(&mut settings)?;
        Ok(Some(settings.speed).filter(|speed| *speed != SPEED_UNKNOWN && *speed != 0))
    }

    /// Whether an offload is on. Drivers that do not know it say no.
    pub fn has(&self, offload: Offload) -> io::Result<bool> {
        Ok(self.flags()? & offload.flag() != 0)
    }

    /// Switches an offload.
    pub fn set(&self, offload: Offload, on: bool) -> io::Result<()> {
        let flags = self.flags()?;
        let wanted = match on {
            true => flags | offload.flag(),
            false => flags & !offload.flag(),
        };
        self.ask(&mut Value {
            cmd: ETHTOOL_SFLAGS,
            data: wanted,
        })?;
        // Drivers that cannot may say so, or say nothing.
        match self.flags()? & offload.flag() == wanted & offload.flag() {
            true => Ok(()),
            false => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn flags(&self) -> io::Result<u32> {
        let mut value = Value {
            cmd: ETHTOOL_GFLAGS,
            data: 0,
        };
        self.ask(&mut value)?;
        Ok(value.data)
    }

    /// Asks the driver; its answer takes the place of the request, which is one of the structures above.
    fn ask<T: Request>(&self, request: &mut T) -> io::Result<()> {
        let mut interface = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_data: std::ptr::from_mut(request).cast(),
            },
        };
        // SAFETY: `interface` and the request that it points to are valid for the call, and the request is as large as what
        // its command makes the kernel write.
        let result = unsafe {
            libc::ioctl(
                self.socket.as_raw_fd(),
                libc::SIOCETHTOOL,
                &raw mut interface,
            )
        };
        match result {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A structure that starts with its command and has room for the answer.
trait Request {}
impl Request for DriverInfo {}
impl Request for Value {}
impl Request for LinkSettings {}

impl LinkSettings {
    fn request(mask_words: i8) -> LinkSettings {
        LinkSettings {
            cmd: ETHTOOL_GLINKSETTINGS,
            speed: 0,
            duplex: 0,
            port: 0,
            phy_address: 0,
            autoneg: 0,
            mdio_support: 0,
            eth_tp_mdix: 0,
            eth_tp_mdix_ctrl: 0,
            link_mode_masks_nwords: mask_words,
            transceiver: 0,
            rest: [0; 31],
            masks: [0; MASK_WORDS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert_eq!(size_of::<LinkSettings>(), 48 + 4 * MASK_WORDS);
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let driver = Driver::of("nosuch0").expect("there are sockets");
        let error = driver.name().expect_err("there is no such interface");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert!(Driver::of("a-name-that-is-too-long").is_err());
    }

    #[test]
    fn the_loopback_has_no_speed() {
        let driver = Driver::of("lo").expect("there are sockets");
        assert!(driver.speed().map_or(true, |speed| speed.is_none()));
    }
}
