//! A client that writes without pause, beside whatever a test looks at.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::client::Client;
use super::failure::{Outcome, accepted};

/// A task that writes. Dropping it ends it after the batch that is under way.
pub struct Writer {
    stop: DropGuard,
    task: JoinHandle<Result<(), Status>>,
}

impl Writer {
    /// Writes batch after batch, each made of the next number.
    pub fn start<const N: usize>(
        client: &Client,
        atomicity: Atomicity,
        batch: impl Fn(u16) -> [p4::Update; N] + Send + 'static,
    ) -> Writer {
        let stop = CancellationToken::new();
        let (mut rpc, stopped) = (client.rpc.clone(), stop.clone());
        let request = client.request(atomicity, []);
        let task = tokio::spawn(async move {
            let mut number = 1;
            while !stopped.is_cancelled() {
                number = number % 30_000 + 1;
                let request = p4::WriteRequest {
                    updates: batch(number).to_vec(),
                    ..request.clone()
                };
                rpc.write(request).await?;
            }
            Ok(())
        });
        Writer {
            stop: stop.drop_guard(),
            task,
        }
    }

    /// Ends it; all of its batches have to have been accepted.
    pub async fn finish(self) -> Outcome {
        drop(self.stop);
        let written = self.task.await.expect("it does not panic");
        accepted("writing all the while", written)
    }
}
