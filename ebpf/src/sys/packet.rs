//! Frames as an interface receives them, with their VLAN tags.
//!
//! The kernel takes the outer tag out of a frame before any packet socket sees it, and says beside the frame what it
//! was (`packet(7)`, `PACKET_AUXDATA`). Here it is put back, so that what is read is what was on the wire.

use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Large enough for what a veth pair with segmentation offload passes on.
const LARGEST_FRAME: usize = 65_536 + 64;
/// Both addresses; a tag follows them.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// A packet socket that reads what an interface receives, and nothing of what leaves by it.
#[derive(Debug)]
pub struct PacketReceiver {
    socket: OwnedFd,
    /// Room for a tag, and the frame.
    buffer: Box<[u8]>,
}

impl PacketReceiver {
    /// Reads from the interface with this number. A call of [`receive`](Self::receive) takes `patience` at most.
    pub fn open(interface: u32, patience: Duration) -> io::Result<PacketReceiver> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers are involved. With protocol 0 nothing is received before it is bound.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let receiver = PacketReceiver {
            socket,
            buffer: vec![0; TAG + LARGEST_FRAME].into_boxed_slice(),
        };
        let patience = libc::timeval {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_usec: libc::suseconds_t::from(patience.subsec_micros()),
        };
        receiver.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
        receiver.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        receiver.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
        receiver.bind(interface)?;
        Ok(receiver)
    }

    /// Lets so many bytes wait for a call of [`receive`](Self::receive), with what the kernel keeps about each frame.
    pub fn make_room(&self, bytes: u32) -> io::Result<()> {
        let bytes = bytes.min(libc::c_int::MAX as u32) as libc::c_int;
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
    }

    /// Frames for which there was no room since the last call.
    pub fn dropped(&self) -> io::Result<u32> {
        let mut counted = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut length = size_of_val(&counted) as libc::socklen_t;
        // SAFETY: the place for the answer is valid for the call, and as long as is said.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counted).cast(),
                &raw mut length,
            )
        };
        done(result as isize)?;
        Ok(counted.tp_drops)
    }

    fn set<T: Copy>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        // SAFETY: the value is valid for the call, and as long as is said.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        done(result as isize).map(drop)
    }

    fn bind(&self, interface: u32) -> io::Result<()> {
        // SAFETY: all zeros is a valid address of this family.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface as i32;
        // SAFETY: the address is valid for the call, and as long as is said.
        let result = unsafe {
            libc::bind(
                self.socket.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        done(result as isize).map(drop)
    }

    /// The next frame; `TimedOut` if none came in time.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        let mut control = [0u64; 8];
        let mut part = libc::iovec {
            iov_base: self.buffer[TAG..].as_mut_ptr().cast(),
            iov_len: LARGEST_FRAME,
        };
        // SAFETY: all zeros is a valid header, of a message without any part.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message points to buffers that live through the call and are as long as it says.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let length = done(length).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })?;
        Ok(match tag(&message).filter(|_| length >= ADDRESSES) {
            None => &self.buffer[TAG..TAG + length],
            Some(tag) => {
                self.buffer.copy_within(TAG..TAG + ADDRESSES, 0);
                self.buffer[ADDRESSES..ADDRESSES + TAG].copy_from_slice(&tag);
                &self.buffer[..TAG + length]
            }
        })
    }
}

/// The tag that was taken out of the frame of a message.
fn tag(message: &libc::msghdr) -> Option<[u8; TAG]> {
    // SAFETY: the message was filled in by the kernel, and its control buffer is still there.
    let control = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    let is_auxiliary =
        control.cmsg_level == libc::SOL_PACKET && control.cmsg_type == libc::PACKET_AUXDATA;
    if !is_auxiliary {
        return None;
    }
    // SAFETY: data of this type is that structure; it need not be aligned.
    let data: libc::tpacket_auxdata = unsafe {
        libc::CMSG_DATA(control)
            .cast::<libc::tpacket_auxdata>()
            .read_unaligned()
    };
    if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let protocol = match data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => libc::ETH_P_8021Q as u16,
        _ => data.tp_vlan_tpid,
    };
    let [[a, b], [c, d]] = [protocol, data.tp_vlan_tci].map(u16::to_be_bytes);
    Some([a, b, c, d])
}

/// What a system call returned, if that is no error.
fn done(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
