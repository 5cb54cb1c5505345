//! A snapshot on its way to another node: a header, the state in pieces, and the
//! checksum of all of it. Nothing is installed before that has been compared.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use openraft::Snapshot;
use pointsman_proto::pointsman::peer::v1::snapshot_chunk::{Header, Part, Trailer};
use pointsman_proto::pointsman::peer::v1::{self as pb, SnapshotChunk};
use ring::digest::{Context, SHA256, digest};
use thiserror::Error;

use super::database::{DatabaseFault, decode, encode};
use super::types::{SnapshotMeta, TypeConfig, Vote};
use super::wire::{self, Malformed};

/// The size of a piece: small enough that other messages come through between two.
const CHUNK_BYTES: usize = 256 << 10;

/// Why a snapshot that came in is not used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The stream broke.
    #[error("the snapshot broke off: {0}")]
    Broken(#[from] Box<tonic::Status>),
    /// A part is missing or at another place than it should be.
    #[error("the snapshot has no {0} where one should be; it is not used")]
    Order(&'static str),
    /// It is damaged.
    #[error(
        "the snapshot's checksum does not match its {bytes} bytes: it was damaged on its way and is not used"
    )]
    Checksum {
        /// How many came.
        bytes: usize,
    },
    /// Its header says nothing.
    #[error(transparent)]
    Header(#[from] Malformed),
}

impl From<DatabaseFault> for SnapshotError {
    fn from(fault: DatabaseFault) -> Self {
        SnapshotError::Header(fault.into())
    }
}

/// The messages that carry a snapshot.
pub fn chunks(
    vote: Vote,
    snapshot: Snapshot<TypeConfig>,
) -> impl Stream<Item = SnapshotChunk> + Send + 'static {
    let chunk = |part| SnapshotChunk { part: Some(part) };
    let body = Bytes::from(*snapshot.snapshot);
    let header = chunk(Part::Header(Header {
        vote: Some(wire::vote_to_proto(&vote)),
        meta: encode(&snapshot.meta).into(),
    }));
    let sha256 = Bytes::copy_from_slice(digest(&SHA256, &body).as_ref());
    let trailer = chunk(Part::Trailer(Trailer { sha256 }));
    let pieces = (0..body.len()).step_by(CHUNK_BYTES).map(move |from| {
        let to = body.len().min(from + CHUNK_BYTES);
        chunk(Part::Data(body.slice(from..to)))
    });
    stream::iter(std::iter::once(header).chain(pieces).chain([trailer]))
}

/// Puts a snapshot together from its messages.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn receive(
    mut chunks: Pin<&mut (impl Stream<Item = Result<SnapshotChunk, tonic::Status>> + Send)>,
) -> Result<(Vote, Snapshot<TypeConfig>), SnapshotError> {
    let mut next = async || match chunks.next().await {
        Some(Ok(SnapshotChunk { part })) => Ok(part),
        Some(Err(status)) => Err(SnapshotError::from(Box::new(status))),
        None => Ok(None),
    };
    let Some(Part::Header(pb::snapshot_chunk::Header { vote, meta })) = next().await? else {
        return Err(SnapshotError::Order("header"));
    };
    let vote = wire::vote_from_proto(vote)?;
    let meta: SnapshotMeta = decode("snapshot", &meta)?;
    let mut sum = Context::new(&SHA256);
    let mut body = BytesMut::new();
    loop {
        match next().await? {
            Some(Part::Data(data)) => {
                sum.update(&data);
                body.extend_from_slice(&data);
            }
            Some(Part::Trailer(trailer)) if sum.clone().finish().as_ref() == trailer.sha256 => {
                break;
            }
            Some(Part::Trailer(_)) => return Err(SnapshotError::Checksum { bytes: body.len() }),
            Some(Part::Header(_)) | None => return Err(SnapshotError::Order("trailer")),
        }
    }
    let snapshot = Snapshot {
        meta,
        snapshot: Box::new(body.into()),
    };
    Ok((vote, snapshot))
}
