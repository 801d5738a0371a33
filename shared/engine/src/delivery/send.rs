//! Sending a claimed attempt: rendered off the shared threads where that is heavy, shown to people while it runs for long.

use std::{pin::pin, time::Duration};

use futures_util::future::join;
use tokio::time::timeout;
use tracking_core::{receiver::Receiver, request::Rendered, template::RenderFault};

use super::{ClaimedAttempt, Deliveries, SendResult};
use crate::{backend::Backend, sender::Sender};

/// The time after which a send makes its receiver suspect.
const SLOW_AFTER: Duration = Duration::from_secs(3);

impl<B: Backend> Deliveries<B> {
    /// The request of a claimed attempt.
    pub(crate) async fn rendered(&self, claimed: Box<ClaimedAttempt>) -> (Box<ClaimedAttempt>, Result<Rendered, RenderFault>) {
        let owner = claimed.heavy_owner();
        let render = move || {
            let rendered = claimed.request();
            (claimed, rendered)
        };
        self.heavy.run(owner, render).await
    }

    pub(crate) async fn send(&self, claimed: &ClaimedAttempt, rendered: Rendered, sender: &Sender) -> SendResult {
        let mut sending = pin!(sender.request_for(claimed.owner(), rendered));
        if let Ok(sent) = timeout(self.store.settings.shown_after.unsigned_abs(), &mut sending).await {
            return sent;
        }
        // Only for people to see. It is waited for, while the request goes on, so that no such write lands after the record.
        let rest = SLOW_AFTER.saturating_sub(self.store.settings.shown_after.unsigned_abs());
        let (sent, shown) = join(timeout(rest, &mut sending), self.show_as_sending(claimed)).await;
        if let Err(error) = shown {
            tracing::debug!(%error, "a running attempt could not be shown");
        }
        if let Ok(sent) = sent {
            return sent;
        }
        let receiver = Receiver::of(claimed.owner(), &claimed.call().request);
        join(sending, self.receivers.suspect(&receiver)).await.0
    }
}
