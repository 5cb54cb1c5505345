//! A snapshot on its way to another node: a header, the state in CBOR in pieces, and
//! the checksum of all of it.
//!
//! The sender reads its rows as they were at one moment, while it goes on. The
//! receiver keeps the pieces in a file without a name. Nothing is installed before
//! the checksum has been compared. Neither holds the encoded state in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use openraft::Snapshot;
use pointsman_proto::pointsman::peer::v1::SnapshotChunk;
use pointsman_proto::pointsman::peer::v1::snapshot_chunk::{Header, Part, Trailer};
use redb::ReadTransaction;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::database::{DatabaseFault, decode, encode};
use super::rows;
use super::types::{SnapshotMeta, TypeConfig, Vote};
use super::wire::{self, Malformed};
use crate::state::State;

/// The size of a piece: small enough that other messages come through between two.
const CHUNK_BYTES: usize = 256 << 10;
/// Pieces that wait to be sent.
const QUEUE: usize = 4;

/// What a snapshot holds.
#[derive(Serialize, Deserialize)]
struct Body {
    state: State,
}

/// Where the state of a snapshot is.
pub enum SnapshotData {
    /// In this node's rows, as they were when the transaction began.
    Rows(ReadTransaction),
    /// In a file that another node filled, complete and compared with its checksum.
    Received(File),
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotData::Rows(_) => "Rows",
            SnapshotData::Received(_) => "Received",
        })
    }
}

impl SnapshotData {
    /// The state, without its indexes.
    pub fn into_state(self) -> Result<State, DatabaseFault> {
        match self {
            SnapshotData::Rows(transaction) => rows::load(&transaction),
            SnapshotData::Received(file) => {
                let body: Result<Body, _> = ciborium::from_reader(BufReader::new(file));
                let body = body.map_err(|error| DatabaseFault::Row {
                    table: "snapshot",
                    message: error.to_string(),
                })?;
                Ok(body.state)
            }
        }
    }
}

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
    /// There is no room for it.
    #[error("the snapshot cannot be kept: {0}")]
    Keep(#[from] io::Error),
}

impl From<DatabaseFault> for SnapshotError {
    fn from(fault: DatabaseFault) -> Self {
        SnapshotError::Header(fault.into())
    }
}

/// The messages that carry a snapshot. If it cannot be read, they end without a trailer.
pub fn chunks(
    vote: Vote,
    snapshot: Snapshot<TypeConfig>,
) -> impl Stream<Item = SnapshotChunk> + Send + 'static {
    let (queue, chunks) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let sent = send(vote, snapshot, queue);
        if let Err(error) = sent {
            tracing::warn!(%error, "a snapshot was not sent to its end");
        }
    });
    ReceiverStream::new(chunks)
}

fn send(
    vote: Vote,
    snapshot: Snapshot<TypeConfig>,
    queue: mpsc::Sender<SnapshotChunk>,
) -> io::Result<()> {
    let Snapshot { meta, snapshot } = snapshot;
    let mut writer = ChunkWriter {
        queue,
        buffer: BytesMut::new(),
        sum: Context::new(&SHA256),
    };
    writer.put(Part::Header(Header {
        vote: Some(wire::vote_to_proto(&vote)),
        meta: encode(&meta).into(),
    }))?;
    let state = snapshot.into_state().map_err(io::Error::other)?;
    ciborium::into_writer(&Body { state }, &mut writer).map_err(io::Error::other)?;
    writer.flush()?;
    let sha256 = Bytes::copy_from_slice(writer.sum.clone().finish().as_ref());
    writer.put(Part::Trailer(Trailer { sha256 }))
}

struct ChunkWriter {
    queue: mpsc::Sender<SnapshotChunk>,
    buffer: BytesMut,
    sum: Context,
}

impl ChunkWriter {
    fn put(&self, part: Part) -> io::Result<()> {
        let chunk = SnapshotChunk { part: Some(part) };
        let sent = self.queue.blocking_send(chunk);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sum.update(&self.buffer);
        let data = self.buffer.split().freeze();
        self.put(Part::Data(data))
    }
}

/// Puts a snapshot together from its messages, in a file without a name in `directory`.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn receive(
    directory: &Path,
    mut chunks: Pin<&mut (impl Stream<Item = Result<SnapshotChunk, tonic::Status>> + Send)>,
) -> Result<(Vote, Snapshot<TypeConfig>), SnapshotError> {
    let mut next = async || match chunks.next().await {
        Some(Ok(SnapshotChunk { part })) => Ok(part),
        Some(Err(status)) => Err(SnapshotError::from(Box::new(status))),
        None => Ok(None),
    };
    let Some(Part::Header(Header { vote, meta })) = next().await? else {
        return Err(SnapshotError::Order("header"));
    };
    let vote = wire::vote_from_proto(vote)?;
    let meta: SnapshotMeta = decode("snapshot", &meta)?;
    let mut file = tokio::fs::File::from_std(nameless_file(directory)?);
    let mut sum = Context::new(&SHA256);
    let mut bytes = 0;
    loop {
        match next().await? {
            Some(Part::Data(data)) => {
                sum.update(&data);
                bytes += data.len();
                file.write_all(&data).await?;
            }
            Some(Part::Trailer(trailer)) if sum.clone().finish().as_ref() == trailer.sha256 => {
                break;
            }
            Some(Part::Trailer(_)) => return Err(SnapshotError::Checksum { bytes }),
            Some(Part::Header(_)) | None => return Err(SnapshotError::Order("trailer")),
        }
    }
    file.flush().await?;
    let mut file = file.into_std().await;
    file.rewind()?;
    let snapshot = Snapshot {
        meta,
        snapshot: Box::new(SnapshotData::Received(file)),
    };
    Ok((vote, snapshot))
}

/// It is gone when it is closed, however the process ends.
fn nameless_file(directory: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!("snapshot.{number}.incoming"));
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
